package store

import (
	"net/netip"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
)

// reservationKey is the block, or the ID of a reservation that has none yet.
func reservationKey(v *Reservation) string {
	if !v.Block.IsValid() {
		return "none-" + v.ID
	}
	if v.VRFID != "" {
		// The addresses in a VRF are its own, and may be those of another.
		return "vrf-" + v.VRFID + "/" + blockKey(v.Block)
	}
	return blockKey(v.Block)
}

// assignmentKey is the block, and for a global one the metro too, in each of
// which it may be assigned once. Such a key lies in the same range of keys as
// that of the block alone.
func assignmentKey(v *Assignment) string {
	if v.Global {
		return globalKey(v.Block, v.Metro)
	}
	return blockKey(v.Block)
}

func globalKey(block netip.Prefix, metro string) string {
	return blockKey(block) + "@" + metro
}

// RequireFreeInMetro makes a transaction depend on no assignment in a metro
// overlapping a block of global addresses. No assignment of that range is
// coarser than the given length, and global blocks are small: every part of
// this one is a condition.
func (tx *Tx) RequireFreeInMetro(block netip.Prefix, metro string, coarsest int) {
	for _, around := range addresses.Around(block, coarsest) {
		tx.requireAbsent(tx.Assignments.prefix + globalKey(around, metro))
	}
	for bits := block.Bits(); bits <= block.Addr().BitLen(); bits++ {
		for part := range addresses.Parts(block, bits) {
			tx.requireAbsent(tx.Assignments.prefix + globalKey(part, metro))
		}
	}
}

// AssignmentAround finds the assignment whose block holds an address, nil for
// none. Global addresses do not count, since several devices may have one.
func (s *Snapshot) AssignmentAround(address netip.Addr) *Row[Assignment] {
	for bits := address.BitLen(); bits >= coarsestAssigned(address); bits-- {
		if row, ok := s.Assignments.at(blockKey(netip.PrefixFrom(address, bits).Masked())); ok {
			return row
		}
	}
	return nil
}

// coarsestAssigned is the length of the largest blocks that devices are given.
func coarsestAssigned(address netip.Addr) int {
	if address.Is6() {
		return addresses.DevicePart(addresses.PublicIPv6().Range).Bits()
	}
	return addresses.Public().Coarsest
}

// UsesBlock tells whether any device has an address out of a block.
func (s *Snapshot) UsesBlock(block *Reservation) bool {
	return len(s.Assignments.In(OfReservation(block.ID))) > 0
}

// UsesMetro tells whether a project has a reservation or a virtual network in
// a metro, other than the one with an ID. For these, as for its devices, it
// keeps the blocks there that devices get their own addresses from.
func (s *Snapshot) UsesMetro(projectID, metro, except string) bool {
	for _, row := range s.Reservations.In(InProject(projectID)) {
		if v := row.Value; v.Metro == metro && v.Block.IsValid() && !v.Management && v.ID != except {
			return true
		}
	}
	for _, row := range s.VirtualNetworks.In(InProject(projectID)) {
		if row.Value.Metro == metro && row.Value.ID != except {
			return true
		}
	}
	return false
}
