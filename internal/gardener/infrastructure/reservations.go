package infrastructure

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/packetyard/packetyard/internal/gardener/faults"
	"github.com/packetyard/packetyard/pkg/packet"
)

// The prefix lengths of a private reservation for which a number of addresses can be asked at all.
const shortestPrefix, longestPrefix = 8, 32

// smallestReservation is the prefix length of the smallest private block that the Packet API reserves.
const smallestReservation = 28

// ensureReservation sees to it that the project has the private block that the Shoot asks for (findIPReservations,
// requestIPReservation).
func (s *scope) ensureReservation(ctx context.Context) error {
	if err := s.listBlocks(ctx); err != nil {
		return err
	}
	wanted := int(s.config.Networks.PrivateReservation.PrefixLength)
	if wanted < shortestPrefix || wanted > longestPrefix {
		return faults.Configuration("networks.privateReservation.prefixLength is %d, it must be from %d to %d", wanted, shortestPrefix, longestPrefix)
	}
	reservation := s.findReservation()
	if reservation != nil && s.state.HoldsBlock && reservation.CIDR != wanted {
		if err := s.removeReservation(ctx, reservation.ID); err != nil {
			return err
		}
		s.blocks = slices.DeleteFunc(s.blocks, func(r packet.IPReservation) bool { return r.ID == reservation.ID })
		reservation = nil
	}
	s.state.HoldsBlock = false
	if reservation == nil {
		made, err := s.reserve(ctx, wanted)
		if err != nil {
			return fmt.Errorf("networks.privateReservation.prefixLength: %w", err)
		}
		reservation = made
	}
	s.state.PrivateReservationID = reservation.ID
	s.networks().PrivateReservationID = reservation.ID
	if reservation.CIDR != wanted {
		return faults.Configuration("networks.privateReservation.prefixLength is %d, but the Shoot's reservation is %s/%d, which cannot be changed",
			wanted, reservation.Network, reservation.CIDR)
	}
	return nil
}

// reserve reserves a private block with the Shoot's tags, by which it is found again.
func (s *scope) reserve(ctx context.Context, prefixLength int) (*packet.IPReservation, error) {
	made, err := s.api.CreateIPReservation(ctx, s.project, packet.IPReservationCreate{
		Type: packet.IPTypePrivateIPv4, Quantity: 1 << (longestPrefix - prefixLength), Metro: s.state.Metro,
		Details: s.owner.describe(s.infra), Tags: s.owner.Tags(), FailOnApprovalRequired: true,
	})
	if err != nil {
		return nil, fmt.Errorf("reserving a private block of prefix length %d: %w", prefixLength, err)
	}
	s.blocks = append(s.blocks, *made)
	return made, nil
}

// findReservation is the Shoot's own block among the project's, nil if there is none.
func (s *scope) findReservation() *packet.IPReservation {
	for _, find := range []func(packet.IPReservation) bool{
		func(r packet.IPReservation) bool { return r.ID == s.state.PrivateReservationID },
		func(r packet.IPReservation) bool { return s.owner.Has(r.Tags) },
	} {
		if n := slices.IndexFunc(s.blocks, find); n >= 0 {
			return &s.blocks[n]
		}
	}
	return nil
}

// listBlocks reads the project's private blocks, once.
func (s *scope) listBlocks(ctx context.Context) error {
	if s.blocks != nil {
		return nil
	}
	blocks, err := privateBlocks(ctx, s.api, s.project)
	if err != nil {
		return err
	}
	s.blocks = blocks
	return nil
}

// privateBlocks are the blocks of private IPv4 addresses that a project has, in all metros. The answer is not nil.
func privateBlocks(ctx context.Context, api API, project string) ([]packet.IPReservation, error) {
	blocks, err := api.IPReservations(ctx, project, packet.IPTypes(packet.IPTypePrivateIPv4))
	if err != nil {
		return nil, fmt.Errorf("listing the addresses of the project: %w", err)
	}
	return append([]packet.IPReservation{}, blocks...), nil
}

// removeReservation gives the Shoot's block back (deleteIPAddress), which the API refuses while a device has an address of it.
func (s *scope) removeReservation(ctx context.Context, id string) error {
	if err := s.api.DeleteIP(ctx, id); err != nil && !packet.IsNotFound(err) {
		return fmt.Errorf("giving back the private reservation %s: %w", id, err)
	}
	s.state.PrivateReservationID, s.state.HoldsBlock = "", false
	if s.status.Networks != nil {
		s.status.Networks.PrivateReservationID = ""
	}
	return nil
}

// cidr is the block of a reservation as a.b.c.d/length. Ok is false for one that has no block.
func cidr(r packet.IPReservation) (netip.Prefix, bool) {
	address, err := netip.ParseAddr(r.Network)
	if err != nil {
		return netip.Prefix{}, false
	}
	prefix, err := address.Prefix(r.CIDR)
	return prefix, err == nil
}

// inMetro tells whether a block is usable in a metro.
func inMetro(r packet.IPReservation, metro string) bool {
	return r.Metro != nil && r.Metro.Code == metro
}
