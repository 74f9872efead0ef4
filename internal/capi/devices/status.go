package devices

import (
	"fmt"
	"time"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/packetyard/packetyard/pkg/packet"
)

// Addresses are a device's host name and the addresses it was born with. Elastic addresses are left out: they belong to
// a service, not to the machine.
func Addresses(device *packet.Device) clusterv1.MachineAddresses {
	addresses := clusterv1.MachineAddresses{}
	if device.Hostname != "" {
		addresses = append(addresses, clusterv1.MachineAddress{Type: clusterv1.MachineHostName, Address: device.Hostname})
	}
	for _, ip := range device.IPAddresses {
		if !ip.Management || ip.Address == "" {
			continue
		}
		kind := clusterv1.MachineInternalIP
		if ip.Public {
			kind = clusterv1.MachineExternalIP
		}
		addresses = append(addresses, clusterv1.MachineAddress{Type: kind, Address: ip.Address})
	}
	return addresses
}

// Where is the metro of a device, or its facility if the API names no metro; empty if neither.
func Where(device *packet.Device) string {
	if device.Metro != nil && device.Metro.Code != "" {
		return device.Metro.Code
	}
	if device.Facility != nil {
		return device.Facility.Code
	}
	return ""
}

// HasAddress tells whether an elastic address is assigned to a device.
func HasAddress(device *packet.Device, address string) bool {
	for _, ip := range device.IPAddresses {
		if ip.Address == address && !ip.Management {
			return true
		}
	}
	return false
}

// Leaving tells whether a device is on its way out: what it holds will be free soon, and deleting it again is pointless.
func Leaving(device *packet.Device) bool {
	return device.State == packet.StateDeprovisioning || device.State == packet.StateDeleted
}

// Installing tells whether a device is on its way to active.
func Installing(device *packet.Device) bool {
	switch device.State {
	case packet.StateQueued, packet.StateProvisioning, packet.StateReinstalling, packet.StatePoweringOn:
		return true
	default:
		return false
	}
}

// Progress describes an installation, from the last step that was done.
func Progress(device *packet.Device) string {
	for n := len(device.ProvisioningEvents) - 1; n >= 0; n-- {
		if event := device.ProvisioningEvents[n]; event.CreatedAt != nil && event.Body != "" {
			return fmt.Sprintf("device is %s: %s", device.State, event.Body)
		}
	}
	return fmt.Sprintf("device is %s", device.State)
}

// InstallingSince is when the present installation of a device began, as far as the Packet API tells.
func InstallingSince(device *packet.Device) time.Time {
	var first time.Time
	for _, event := range device.ProvisioningEvents {
		if event.CreatedAt != nil && (first.IsZero() || event.CreatedAt.Before(first)) {
			first = event.CreatedAt.Time
		}
	}
	switch {
	case !first.IsZero():
		return first
	case device.State == packet.StateReinstalling && device.UpdatedAt != nil:
		// The device is older than its installation.
		return device.UpdatedAt.Time
	case device.CreatedAt != nil:
		return device.CreatedAt.Time
	default:
		return time.Time{}
	}
}

// InstalledSince is when the present installation of a device ended, or else when the device was made.
func InstalledSince(device *packet.Device) time.Time {
	var last time.Time
	if device.CreatedAt != nil {
		last = device.CreatedAt.Time
	}
	for _, event := range device.ProvisioningEvents {
		if event.CreatedAt != nil && event.CreatedAt.After(last) {
			last = event.CreatedAt.Time
		}
	}
	return last
}

// Bootstrap states, as machines report them.
const (
	BootstrapRunning   = "running"
	BootstrapSucceeded = "succeeded"
	BootstrapFailed    = "failed"
)
