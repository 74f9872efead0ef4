package apiserver

import (
	"net/http"
	"net/netip"
	"slices"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// addressDevice gives a device the addresses that it keeps all its life.
func (a *API) addressDevice(
	tx *store.Tx, choice *addresses.Choice, project *store.Row[store.Project], device *store.Device, network network,
) error {
	if len(network.publicFrom) > 0 {
		if err := a.assignReserved(tx, choice, device, []string{packet.IPTypePublicIPv4}, network.publicFrom, network.publicBits); err != nil {
			return err
		}
	} else if network.publicIPv4 {
		block, err := choice.Reserve(addresses.Public(), network.publicBits, tx)
		if err != nil {
			return noAddresses(err)
		}
		tx.RequireFreeBlock(block, addresses.Public().Coarsest)
		reservation := managementBlock(device, packet.IPTypePublicIPv4, block)
		tx.Reservations.Create(tx, reservation)
		assign(tx, device, reservation, block)
	}
	if len(network.ipv6From) > 0 {
		if err := a.assignReserved(tx, choice, device, []string{packet.IPTypePublicIPv6}, network.ipv6From, network.ipv6Bits); err != nil {
			return err
		}
	} else if network.publicIPv6 {
		if err := a.assignOutOfBlock(
			tx, choice, project, device, packet.IPTypePublicIPv6, addresses.PublicIPv6(), network.ipv6Bits,
		); err != nil {
			return err
		}
	}
	if len(network.privateFrom) > 0 {
		return a.assignReserved(tx, choice, device, []string{packet.IPTypePrivateIPv4}, network.privateFrom, network.privateBits)
	}
	return a.assignOutOfBlock(tx, choice, project, device, packet.IPTypePrivateIPv4, addresses.Private(), network.privateBits)
}

// assignOutOfBlock gives a device a part of a block that its project has in
// its metro. There is one block, and another one when that is full.
func (a *API) assignOutOfBlock(
	tx *store.Tx, choice *addresses.Choice, project *store.Row[store.Project], device *store.Device,
	kind string, pool addresses.Pool, bits int,
) error {
	coarsest := coarsestPrivate
	if kind == packet.IPTypePublicIPv6 {
		coarsest = coarsestIPv6
	}
	// The newest block is the one with room, mostly; a large project has many.
	for _, row := range slices.Backward(tx.Reservations.In(store.ManagementBlocks(device.ProjectID, device.Metro, kind))) {
		// A full block is not worth searching. IPv6 blocks never are.
		if room := bits - row.Value.Block.Bits(); room < 31 && tx.Assignments.Count(store.OfReservation(row.Value.ID)) >= 1<<room {
			continue
		}
		part, err := choice.Next(addresses.Inside(addresses.DevicePart(row.Value.Block), coarsest), bits, tx.AddressTaken)
		if err != nil {
			continue
		}
		// The block may be given back when its last device goes.
		tx.Reservations.Require(tx, row)
		tx.RequireFreeAddress(part, coarsest)
		assign(tx, device, row.Value, part)
		return nil
	}

	block, err := choice.Reserve(pool, pool.Coarsest, tx)
	if err != nil {
		return noAddresses(err)
	}
	part := netip.PrefixFrom(block.Addr(), bits)
	tx.RequireFreeBlock(block, pool.Coarsest)
	tx.RequireFreeAddress(part, coarsest)
	reservation := managementBlock(device, kind, block)
	tx.Reservations.Create(tx, reservation)
	assign(tx, device, reservation, part)
	// Writing the project makes one of two first devices try again, and find
	// the block of the other.
	tx.Projects.Update(tx, project, project.Value)
	return nil
}

func noAddresses(err error) error {
	return refuse(http.StatusServiceUnavailable, "There are no addresses left: %v", err)
}

func managementBlock(device *store.Device, kind string, block netip.Prefix) *store.Reservation {
	return &store.Reservation{
		ID:         uuid.NewString(),
		ProjectID:  device.ProjectID,
		Block:      block,
		Type:       kind,
		Metro:      device.Metro,
		Management: true,
		CreatedBy:  device.CreatedBy,
		CreatedAt:  device.CreatedAt,
	}
}

func assign(tx *store.Tx, device *store.Device, reservation *store.Reservation, block netip.Prefix) {
	assignment := newAssignment(device, reservation, block, device.CreatedAt)
	assignment.Management = true
	tx.Assignments.Create(tx, assignment)
}
