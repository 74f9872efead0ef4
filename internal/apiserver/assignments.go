package apiserver

import (
	"net/http"
	"net/netip"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func (a *API) listDeviceIPs(r *request) (response, error) {
	return answerAll(a, r, "ip_addresses", func(s *store.Snapshot) []*store.Row[store.Assignment] {
		return s.AddressesOf(r.id())
	}, a.encodeAssignment)
}

// assignIP gives a device an address out of one of its project's elastic
// reservations.
func (a *API) assignIP(r *request) (response, error) {
	var input packet.IPAssignmentCreate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	block, err := parseBlock(input.Address)
	if err != nil {
		return response{}, err
	}

	id := uuid.NewString()
	err = a.store.Update(r.ctx, func(tx *store.Tx) error {
		device, ok := tx.Devices.Get(r.id())
		if !ok {
			return errNotFound()
		}
		if device.Value.State == packet.StateDeprovisioning {
			return refuse(http.StatusUnprocessableEntity, "Cannot assign an address to a device while it is deprovisioning")
		}
		reservation := elasticBlock(tx.Snapshot, device.Value.ProjectID, block)
		if reservation == nil {
			return refuse(http.StatusUnprocessableEntity, "address %q is in no elastic IP reservation of the device's project", input.Address)
		}
		if metro := reservation.Value.Metro; metro != "" && metro != device.Value.Metro {
			return refuse(http.StatusUnprocessableEntity, "address %q is reserved in metro %q, and the device is in %q",
				input.Address, metro, device.Value.Metro)
		}
		coarsest := reservation.Value.Block.Bits()
		if addresses.Overlaps(block, coarsest, tx.AddressTaken) {
			return refuse(http.StatusUnprocessableEntity, "address %q is already assigned", input.Address)
		}
		// The device must not go, nor the reservation, while this is decided.
		tx.Devices.Require(tx, device)
		tx.Reservations.Require(tx, reservation)
		tx.RequireFreeAddress(block, coarsest)
		host, gateway := addresses.Host(block)
		tx.Assignments.Create(tx, &store.Assignment{
			ID:            id,
			DeviceID:      device.Value.ID,
			ReservationID: reservation.Value.ID,
			Block:         block,
			Address:       host,
			Gateway:       gateway,
			Public:        true,
			Global:        reservation.Value.Type == packet.IPTypeGlobalIPv4,
			Metro:         reservation.Value.Metro,
			CreatedAt:     a.clock.Now(),
		})
		return nil
	})
	if err != nil {
		return response{}, err
	}
	answer, err := a.answerIP(r, http.StatusCreated, id)
	answer.location = href("ips", id)
	return answer, err
}

// parseBlock reads a.b.c.d, which means one address, or a.b.c.d/len.
func parseBlock(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, refuse(http.StatusUnprocessableEntity, "address can't be blank: give a.b.c.d or a.b.c.d/length")
	}
	if address, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	block, err := netip.ParsePrefix(text)
	if err != nil || block != block.Masked() {
		return netip.Prefix{}, refuse(http.StatusUnprocessableEntity,
			"address %q is not an address, a.b.c.d, or the first address of a block with its length, a.b.c.d/length", text)
	}
	return block, nil
}

// elasticBlock finds the reservation of a project that a block is part of.
func elasticBlock(s *store.Snapshot, projectID string, block netip.Prefix) *store.Row[store.Reservation] {
	for _, row := range s.Reservations.In(store.InProject(projectID)) {
		reserved := row.Value.Block
		if !row.Value.Management && reserved.Contains(block.Addr()) && reserved.Bits() <= block.Bits() {
			return row
		}
	}
	return nil
}
