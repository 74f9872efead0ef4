package store

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
)

// blockKey writes a block so that the order of the keys is the order of the
// addresses: its first address in hexadecimal, then its length.
func blockKey(block netip.Prefix) string {
	return fmt.Sprintf("%s-%03d", addressKey(block.Addr()), block.Bits())
}

// addressKey keeps the two families apart, which a bare number would not.
func addressKey(address netip.Addr) string {
	family := "6-"
	if address.Is4() {
		family = "4-"
	}
	return family + hex.EncodeToString(address.AsSlice())
}

// BlockTaken tells whether any reservation is exactly this block.
func (s *Snapshot) BlockTaken(block netip.Prefix) bool {
	return s.Reservations.taken(blockKey(block))
}

// BlocksGivenBack counts the reservations that this process has seen go.
func (s *Snapshot) BlocksGivenBack() uint64 { return s.Reservations.removed() }

// AddressTaken tells whether any assignment is exactly this block.
func (s *Snapshot) AddressTaken(block netip.Prefix) bool {
	return s.Assignments.taken(blockKey(block))
}

// AddressesOf lists a device's addresses in the order that clients are used
// to: its own before elastic ones, and of its own public IPv4, public IPv6,
// private IPv4.
func (s *Snapshot) AddressesOf(deviceID string) []*Row[Assignment] {
	rank := func(v *Assignment) int {
		switch {
		case !v.Management:
			return 3
		case !v.Public:
			return 2
		case v.Address.Is6():
			return 1
		default:
			return 0
		}
	}
	rows := slices.Clone(s.Assignments.In(OfDevice(deviceID)))
	slices.SortStableFunc(rows, func(a, b *Row[Assignment]) int { return rank(a.Value) - rank(b.Value) })
	return rows
}

// RequireFreeBlock makes a transaction depend on no reservation overlapping a
// block. No reservation of that range is coarser than the given length.
func (tx *Tx) RequireFreeBlock(block netip.Prefix, coarsest int) {
	tx.requireFree(tx.Reservations.prefix, block, coarsest)
}

// RequireFreeAddress makes a transaction depend on no assignment overlapping
// a block. No assignment of that range is coarser than the given length.
func (tx *Tx) RequireFreeAddress(block netip.Prefix, coarsest int) {
	tx.requireFree(tx.Assignments.prefix, block, coarsest)
}

// RequireUnassigned makes a transaction depend on no assignment being left
// inside a block.
func (tx *Tx) RequireUnassigned(block netip.Prefix) {
	tx.requireNoneInside(tx.Assignments.prefix, block)
}

func (tx *Tx) requireFree(prefix string, block netip.Prefix, coarsest int) {
	tx.requireNoneInside(prefix, block)
	for _, around := range addresses.Around(block, coarsest) {
		tx.requireAbsent(prefix + blockKey(around))
	}
}

func (tx *Tx) requireNoneInside(prefix string, block netip.Prefix) {
	from, to := inside(prefix, block)
	tx.requireNone(from, to)
}

// DeleteAssignmentsIn removes all assignments inside a block, also those made
// since it was read. It is one operation, however many there are: etcd bounds
// their number.
func (tx *Tx) DeleteAssignmentsIn(block netip.Prefix) {
	from, to := inside(tx.Assignments.prefix, block)
	// Which rows these are is not known without looking at all of them.
	tx.last = true
	tx.writes = append(tx.writes, write{key: from, end: to})
}

// inside is the range of the keys of all blocks inside a block.
func inside(prefix string, block netip.Prefix) (from, to string) {
	// '~' sorts after every character that a key has.
	return prefix + addressKey(block.Addr()), prefix + addressKey(addresses.Last(block)) + "~"
}
