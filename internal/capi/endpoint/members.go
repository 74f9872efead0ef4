package endpoint

import (
	"cmp"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

// member is a device of a cluster's control plane.
type member struct {
	device *packet.Device
	// leaving is true when its machine is being deleted, or nobody has it on record.
	leaving bool
}

// health is what a device's state alone says about its being the holder of the address.
type health int

const (
	// running devices can be asked.
	running health = iota
	// installing devices are not machines yet. The first of a control plane has the address before it is one.
	installing
	// stopped devices may come back.
	stopped
	// lost devices never will.
	lost
)

func healthOf(device *packet.Device) health {
	switch {
	case devices.Leaving(device), device.State == packet.StateFailed:
		return lost
	case device.State == packet.StateActive:
		return running
	case devices.Installing(device):
		return installing
	default:
		return stopped
	}
}

// addresses are those that the device was born with. An elastic one says nothing about where it is.
func (m member) addresses() []string {
	var list []string
	for _, ip := range m.device.IPAddresses {
		if ip.Management && ip.Address != "" {
			list = append(list, ip.Address)
		}
	}
	return list
}

// holder is the member that a listing shows with the address, nil if none.
func holder(members []member, address string) *member {
	n := slices.IndexFunc(members, func(m member) bool { return devices.HasAddress(m.device, address) })
	if n < 0 {
		return nil
	}
	return &members[n]
}

func byID(members []member, id string) *member {
	n := slices.IndexFunc(members, func(m member) bool { return strings.EqualFold(m.device.ID, id) })
	if n < 0 {
		return nil
	}
	return &members[n]
}

// reachable leaves out the members that cannot be given an address of a metro; an empty metro is every metro.
func reachable(members []member, metro string) []member {
	return slices.DeleteFunc(slices.Clone(members), func(m member) bool {
		return metro != "" && m.device.Metro != nil && m.device.Metro.Code != metro
	})
}

// ranked puts the better candidates first: those that stay, those that run, and among them the newest, because a rollout
// deletes the oldest first. What is lost is no candidate.
func ranked(members []member) []member {
	fit := slices.DeleteFunc(slices.Clone(members), func(m member) bool { return healthOf(m.device) == lost })
	slices.SortStableFunc(fit, func(a, b member) int {
		return cmp.Or(
			cmp.Compare(number(a.leaving), number(b.leaving)),
			cmp.Compare(healthOf(a.device), healthOf(b.device)),
			newer(a.device, b.device),
			cmp.Compare(a.device.ID, b.device.ID))
	})
	return fit
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func newer(a, b *packet.Device) int {
	if a.CreatedAt == nil || b.CreatedAt == nil {
		return 0
	}
	return b.CreatedAt.Compare(a.CreatedAt.Time)
}
