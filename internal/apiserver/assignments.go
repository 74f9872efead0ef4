package apiserver

import (
	"net/http"
	"net/netip"
	"time"

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

// assignIP gives a device an address, or a block of them, out of what its
// project has reserved. To move one, it is taken from the other device first.
func (a *API) assignIP(r *request) (response, error) {
	var input packet.IPAssignmentCreate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	block, err := parseBlock(input.Address)
	if err != nil {
		return response{}, err
	}
	var p problems
	p.customData(input.CustomData)
	if err := p.err(); err != nil {
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
		if portsOf(tx.Snapshot, device.Value.ID).Layer2 {
			return refuse(http.StatusUnprocessableEntity, "Cannot assign an address to a device in layer 2")
		}
		reservation := assignableBlock(tx.Snapshot, device.Value.ProjectID, block)
		if reservation == nil {
			return refuse(http.StatusUnprocessableEntity, "address %q is in no elastic IP reservation of the device's project", input.Address)
		}
		if err := mayAssign(tx, reservation, device.Value, block); err != nil {
			return err
		}
		// The device must not go, nor the reservation, while this is decided.
		// Writing the device keeps it from being converted to layer 2.
		tx.Devices.Update(tx, device, device.Value)
		tx.Reservations.Require(tx, reservation)
		assignment := newAssignment(device.Value, reservation.Value, block, a.clock.Now())
		assignment.ID = id
		assignment.CustomData = objectOnly(input.CustomData)
		tx.Assignments.Create(tx, assignment)
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
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	block, err := netip.ParsePrefix(text)
	if err != nil || block != block.Masked() {
		return netip.Prefix{}, refuse(http.StatusUnprocessableEntity,
			"address %q is not an address, a.b.c.d, or the first address of a block with its length, a.b.c.d/length", text)
	}
	return block, nil
}

// assignableBlock finds the reservation of a project that a block is part of.
// What devices get their own addresses from is not assigned otherwise, but for
// the project's /56, of which they use a small part.
func assignableBlock(s *store.Snapshot, projectID string, block netip.Prefix) *store.Row[store.Reservation] {
	for _, row := range s.Reservations.In(store.InProject(projectID)) {
		reserved := row.Value.Block
		if row.Value.VRFID != "" || row.Value.Management && addresses.DevicePart(reserved) == reserved {
			continue
		}
		if reserved.IsValid() && reserved.Contains(block.Addr()) && reserved.Bits() <= block.Bits() {
			return row
		}
	}
	return nil
}

// mayAssign refuses a block that a device cannot have, and makes the
// transaction depend on nobody getting it at the same time.
func mayAssign(tx *store.Tx, row *store.Row[store.Reservation], device *store.Device, block netip.Prefix) error {
	reservation := row.Value
	if reservation.Metro != "" && reservation.Metro != device.Metro {
		return refuse(http.StatusUnprocessableEntity, "address %q is reserved in metro %q, and the device is in %q",
			block, reservation.Metro, device.Metro)
	}
	if tx.GatewayOf(reservation.ID) != nil {
		return refuse(http.StatusUnprocessableEntity,
			"address %q is in IP Reservation %s, which a metal gateway has: only the machines of its virtual network have addresses from it",
			block, reservation.Block)
	}
	coarsest := reservation.Block.Bits()
	if reservation.Management {
		devices := addresses.DevicePart(reservation.Block)
		if block.Overlaps(devices) {
			return refuse(http.StatusUnprocessableEntity, "address %q is in %s, which devices get their own addresses from: give another part of %s",
				block, devices, reservation.Block)
		}
		coarsest = devices.Bits()
		if block.Bits() < coarsest {
			return refuse(http.StatusUnprocessableEntity, "address %q is a block larger than a /%d, which is the largest that a device can have",
				block, coarsest)
		}
	}
	global := reservation.Type == packet.IPTypeGlobalIPv4
	for _, assigned := range tx.Assignments.In(store.OfReservation(reservation.ID)) {
		if assigned.Value.Block.Overlaps(block) && (!global || assigned.Value.Metro == device.Metro) {
			return refuse(http.StatusUnprocessableEntity, "Address has already been taken: %q is already assigned as part of %s", block, assigned.Value.Block)
		}
	}
	if global {
		tx.RequireFreeInMetro(block, device.Metro, coarsest)
	} else {
		tx.RequireFreeAddress(block, coarsest)
	}
	return nil
}

// newAssignment is the record of a device having a block. A global one is
// assigned in the metro of the device.
func newAssignment(device *store.Device, reservation *store.Reservation, block netip.Prefix, now time.Time) *store.Assignment {
	host, gateway := addresses.Host(block)
	return &store.Assignment{
		ID:            uuid.NewString(),
		DeviceID:      device.ID,
		ReservationID: reservation.ID,
		Block:         block,
		Address:       host,
		Gateway:       gateway,
		Public:        reservation.Type != packet.IPTypePrivateIPv4,
		Global:        reservation.Type == packet.IPTypeGlobalIPv4,
		Metro:         device.Metro,
		CreatedAt:     now,
	}
}
