package ccm

import "github.com/packetyard/packetyard/pkg/packet"

// region is the code of a device's metro: what a load balancer's address can
// move within.
func region(device *packet.Device) string {
	switch {
	case device.Metro != nil && device.Metro.Code != "":
		return device.Metro.Code
	case device.Facility != nil && device.Facility.Metro != nil:
		return device.Facility.Metro.Code
	}
	return ""
}

// zone is the code of a device's facility: what fails together.
func zone(device *packet.Device) string {
	if device.Facility == nil {
		return ""
	}
	return device.Facility.Code
}
