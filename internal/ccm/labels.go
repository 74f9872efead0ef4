package ccm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/pkg/packet"
)

// labelPrefix is the domain of the labels that nodes get here. It is the
// original's, whose annotations are below it too.
const labelPrefix = "metal.equinix.com/"

// The labels, below labelPrefix.
const (
	// labelSwitch is the switch that a device hangs on, which is a failure
	// domain below the facility.
	labelSwitch              = "switch"
	labelHardwareReservation = "hardware-reservation"
	// labelSpotInstance is "true" on devices that the API may take away.
	labelSpotInstance = "spot-instance"
	// labelOperatingSystem is no default, because it is not changed when a
	// device is reinstalled with another.
	labelOperatingSystem = "operating-system"
)

func nodeLabelNames() []string {
	return []string{labelSwitch, labelHardwareReservation, labelSpotInstance, labelOperatingSystem}
}

func defaultNodeLabels() []string {
	return []string{labelSwitch, labelHardwareReservation, labelSpotInstance}
}

func parseNodeLabels(text string) ([]string, error) {
	if text == "none" {
		return nil, nil
	}
	var names []string
	for _, name := range strings.Split(text, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(nodeLabelNames(), name) {
			return nil, fmt.Errorf("is %q, where %q is no label: allowed are none, or a list of %s", text, name, strings.Join(nodeLabelNames(), ", "))
		}
		names = append(names, name)
	}
	return names, nil
}

// additionalLabels are a node's labels beside type, region and zone. The
// framework writes them once, when it initialises the node, and does not touch
// a label that is there.
func additionalLabels(device *packet.Device, names []string, tagPrefix string) map[string]string {
	labels := map[string]string{}
	for _, name := range names {
		if value := labelValue(device, name); value != "" {
			labels[labelPrefix+name] = value
		}
	}
	for _, tag := range device.Tags {
		pair, found := strings.CutPrefix(tag, tagPrefix)
		if tagPrefix == "" || !found {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		if problems := slices.Concat(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)); len(problems) > 0 {
			klog.InfoS("A tag of a device is no label and is left out", "device", device.ID, "tag", tag, "problem", strings.Join(problems, "; "))
			continue
		}
		labels[key] = value
	}
	return labels
}

// labelValue is what a device has for a label, or "".
func labelValue(device *packet.Device, name string) string {
	value := ""
	switch name {
	case labelSwitch:
		value = device.SwitchUUID
	case labelHardwareReservation:
		if device.HardwareReservation != nil {
			value = device.HardwareReservation.ID
		}
	case labelSpotInstance:
		if device.SpotInstance {
			value = strconv.FormatBool(true)
		}
	case labelOperatingSystem:
		if device.OperatingSystem != nil {
			value = device.OperatingSystem.Slug
		}
	}
	if len(validation.IsValidLabelValue(value)) > 0 {
		return ""
	}
	return value
}
