package apiserver

import (
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// keysAtATime keeps a transaction well below the 128 operations that etcd
// allows it by default.
const keysAtATime = 50

// deleteProject deletes a project with what goes with it. Where that is more
// than fits into a transaction, the project goes with the last of it: until
// then it exists, and whoever is told of an error can ask again.
func (a *API) deleteProject(r *request) (response, error) {
	for left := true; left; {
		err := a.store.Update(r.ctx, func(tx *store.Tx) error {
			row, ok := tx.Projects.Get(r.id())
			if !ok {
				return errNotFound()
			}
			if err := keepsProject(tx.Snapshot, r.id()); err != nil {
				return err
			}
			room := keysAtATime
			emptyProject(tx, r.id(), &room)
			if left = room < 0; left {
				return nil
			}
			tx.Leave(store.InProject(r.id()))
			tx.Projects.Delete(tx, row)
			return nil
		})
		if err != nil {
			return response{}, err
		}
	}
	return noContent()
}

// keepsProject refuses to delete a project while it has what its members must
// give back themselves. Devices that are on their way out do not count: what
// they have goes with them.
func keepsProject(s *store.Snapshot, id string) error {
	in := store.InProject(id)
	devices := where(s.Devices.In(in), func(v *store.Device) bool { return v.State != packet.StateDeprovisioning })
	reservations := where(s.Reservations.In(in), func(v *store.Reservation) bool { return !v.Management })
	var p problems
	for _, kept := range []struct {
		count     int
		one, many string
	}{
		{len(devices), "a device", "devices"},
		{len(reservations), "an IP reservation", "IP reservations"},
		{s.SpotMarketRequests.Count(in), "a spot market request", "spot market requests"},
		{s.HardwareReservations.Count(in), "a hardware reservation", "hardware reservations"},
		{s.MetalGateways.Count(in), "a metal gateway", "metal gateways"},
		{s.VRFs.Count(in), "a VRF", "VRFs"},
		{s.VirtualNetworks.Count(in), "a virtual network", "virtual networks"},
	} {
		switch kept.count {
		case 0:
		case 1:
			p.add("Cannot delete a project while it has %s", kept.one)
		default:
			p.add("Cannot delete a project while it has %d %s", kept.count, kept.many)
		}
	}
	return p.err()
}

// emptyProject deletes what goes with a project, as far as there is room,
// which is below zero afterwards where something is left. API keys come last:
// the one that asks may be among them.
func emptyProject(tx *store.Tx, id string, room *int) {
	in := store.InProject(id)
	clearOut(tx, &tx.SSHKeys, tx.SSHKeys.In(in), room)
	clearOut(tx, &tx.BGPConfigs, tx.BGPConfigs.In(in), room)
	clearOut(tx, &tx.BGPRanges, tx.BGPRanges.In(in), room)
	clearOut(tx, &tx.Batches, tx.Batches.In(in), room)
	// A block that a device still has addresses from goes with the device.
	unused := where(tx.Reservations.In(in), func(v *store.Reservation) bool {
		return len(tx.Assignments.In(store.OfReservation(v.ID))) == 0
	})
	for _, row := range unused {
		tx.RequireUnassigned(row.Value.Block)
	}
	clearOut(tx, &tx.Reservations, unused, room)
	clearOut(tx, &tx.Tokens, tx.Tokens.In(in), room)
}

// clearOut deletes rows as long as there is room.
func clearOut[T any](tx *store.Tx, table *store.Table[T], rows []*store.Row[T], room *int) {
	for _, row := range rows {
		if *room--; *room < 0 {
			return
		}
		table.Delete(tx, row)
	}
}
