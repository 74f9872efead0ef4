package mcm

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/codes"
	corev1 "k8s.io/api/core/v1"

	machineclassv1alpha1 "github.com/packetyard/packetyard/api/machineclass/v1alpha1"
	"github.com/packetyard/packetyard/pkg/packet"
)

// machineTag tells which Machine a device is for.
func machineTag(machine string) string {
	return packet.Tag(machineclassv1alpha1.TagPrefixMachine, machine)
}

// machineOf is the name of the Machine that a device is for, empty if it cannot be told. A device without the tag was made by
// a driver before this one: its host name is the Machine's name.
func machineOf(device *packet.Device) string {
	named := false
	for _, tag := range device.Tags {
		name, ours := strings.CutPrefix(tag, machineclassv1alpha1.TagPrefixMachine)
		if !ours {
			continue
		}
		named = true
		// The name of a Machine may be longer than a tag can be. Then the host name has all of it.
		if tag == machineTag(device.Hostname) {
			return device.Hostname
		}
		if len(tag) < packet.MaxTagLength {
			return name
		}
	}
	if named {
		return ""
	}
	return device.Hostname
}

// isFor tells whether a device is for a Machine.
func isFor(device *packet.Device, machine string) bool {
	return packet.HasTags(device.Tags, machineTag(machine)) || machineOf(device) == machine
}

// providerIDOf is the provider ID of the Machine of a device. The safety sweep of MCM deletes devices whose provider ID is not
// that of their Machine, so that a device which a driver before this one made keeps the form that that driver gave it.
func providerIDOf(device *packet.Device) string {
	made := slices.ContainsFunc(device.Tags, func(tag string) bool { return strings.HasPrefix(tag, machineclassv1alpha1.TagPrefixMachine) })
	if !made && device.Metro != nil && device.Metro.Code != "" {
		return packet.EquinixProviderIDScheme + "://" + device.Metro.Code + "/" + device.ID
	}
	return packet.ProviderID(device.ID)
}

// deviceID is the device that a provider ID names: packet://<uuid>, and in the forms of the drivers before this one
// equinixmetal://<metro>/<uuid> and packet:///<facility>/<uuid>.
func deviceID(providerID string) (string, error) {
	short := providerID
	if scheme, rest, found := strings.Cut(providerID, "://"); found {
		short = scheme + "://" + rest[strings.LastIndex(rest, "/")+1:]
	}
	id, err := packet.DeviceID(short)
	if err != nil {
		return "", fail(codes.InvalidArgument, "spec.providerID %q names no device: it is like %s://<uuid of the device>", providerID, packet.ProviderIDScheme)
	}
	return id, nil
}

// find are the devices that are for a Machine and were not given back, that which it keeps first. There is more than one only after the API did the
// same request twice; MCM's safety sweep deletes the others, because their provider ID is not the Machine's.
func find(devices []packet.Device, s scope, machine string) []*packet.Device {
	found := slices.DeleteFunc(findAll(devices, s, machine), leaving)
	slices.SortFunc(found, func(a, b *packet.Device) int {
		return cmp.Or(rank(a)-rank(b), created(a).Compare(created(b).Time), strings.Compare(a.ID, b.ID))
	})
	return found
}

// findAll are find's and those that were given back, in the API's order.
func findAll(devices []packet.Device, s scope, machine string) []*packet.Device {
	var found []*packet.Device
	for n := range devices {
		if device := &devices[n]; s.has(device) && isFor(device, machine) {
			found = append(found, device)
		}
	}
	return found
}

// rank puts a device that works before one that does not.
func rank(device *packet.Device) int {
	if device.State == packet.StateFailed {
		return 1
	}
	return 0
}

func created(device *packet.Device) packet.Timestamp {
	if device.CreatedAt == nil {
		return packet.Timestamp{}
	}
	return *device.CreatedAt
}

// leaving tells that a device was given back: it still exists, and will be no Machine's any more.
func leaving(device *packet.Device) bool {
	return device.State == packet.StateDeprovisioning || device.State == packet.StateDeleted
}

// addresses are how a Machine can be reached.
func addresses(device *packet.Device) []corev1.NodeAddress {
	var list []corev1.NodeAddress
	for _, assignment := range device.IPAddresses {
		if net.ParseIP(assignment.Address) == nil {
			continue
		}
		kind := corev1.NodeInternalIP
		if assignment.Public {
			kind = corev1.NodeExternalIP
		}
		list = append(list, corev1.NodeAddress{Type: kind, Address: assignment.Address})
	}
	return list
}

// describe names a device in messages.
func describe(device *packet.Device) string {
	return fmt.Sprintf("device %s (%s)", device.ID, device.Hostname)
}
