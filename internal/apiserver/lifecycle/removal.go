package lifecycle

import (
	"context"
	"fmt"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// remove ends the machine, and then the device with all that it had.
func (w *Worker) remove(ctx context.Context, v view) (next, error) {
	if wait := v.device.StepAt.Add(removal.in(w.Profile)).Sub(w.Clock.Now()); wait > 0 {
		return next{after: wait}, nil
	}
	if err := w.Driver.Deprovision(ctx, v.device.ID); err != nil {
		if ctx.Err() == nil {
			w.removalFailed(ctx, v, err.Error())
		}
		return next{}, fmt.Errorf("removing the machine: %w", err)
	}
	if err := w.releaseElastic(ctx, v.device.ID); err != nil {
		return next{}, err
	}
	if err := w.forget(ctx, v.device.ID); err != nil {
		return next{}, err
	}
	return next{now: true}, w.releaseBlocks(ctx, v.device.ProjectID, v.device.Metro)
}

// removalFailed records why a machine is still there, once for each reason.
func (w *Worker) removalFailed(ctx context.Context, v view, reason string) {
	body := "Deprovisioning failed, trying again: " + reason
	err := w.change(ctx, v.device.ID, func(tx *store.Tx, row *store.Row[store.Device]) {
		if last := lastEvent(tx.Snapshot, row.Value, eventRemovalFailed); last != nil && last.Body == body {
			return
		}
		Record(tx, row.Value, w.Clock.Now(), eventRemovalFailed, body, "failed")
	})
	if err != nil {
		w.Logger.WarnContext(ctx, "An event was not recorded.", "device", v.device.ID, "error", err)
	}
}

// elasticAtATime keeps a transaction well below the 128 operations that etcd
// allows it by default.
const elasticAtATime = 50

// releaseElastic takes its elastic addresses from a device, of which it may
// have as many as its project. No more are given to a device that is going.
func (w *Worker) releaseElastic(ctx context.Context, id string) error {
	for left := true; left; {
		err := w.change(ctx, id, func(tx *store.Tx, _ *store.Row[store.Device]) {
			left = false
			taken := 0
			for _, assignment := range tx.Assignments.In(store.OfDevice(id)) {
				if assignment.Value.Management {
					continue
				}
				if left = taken == elasticAtATime; left {
					return
				}
				tx.Assignments.Delete(tx, assignment)
				taken++
			}
		})
		if err != nil {
			return fmt.Errorf("releasing the device's elastic addresses: %w", err)
		}
	}
	return nil
}

// forget deletes a device, its addresses, and the blocks that were its alone.
// Elastic reservations stay with the project.
func (w *Worker) forget(ctx context.Context, id string) error {
	return w.change(ctx, id, func(tx *store.Tx, row *store.Row[store.Device]) {
		tx.Devices.Delete(tx, row)
		tx.DeleteEventsOf(id)
		tx.ForgetPorts(id)
		w.vacate(tx, row.Value)
		for _, assignment := range tx.Assignments.In(store.OfDevice(id)) {
			tx.Assignments.Delete(tx, assignment)
			if !assignment.Value.Management {
				continue
			}
			block, ok := tx.Reservations.Get(assignment.Value.ReservationID)
			if ok && block.Value.Management && block.Value.Block == assignment.Value.Block {
				tx.Reservations.Delete(tx, block)
			}
		}
		for _, session := range tx.BGPSessions.In(store.OfDevice(id)) {
			tx.BGPSessions.Delete(tx, session)
		}
	})
}

// vacate takes a device off its reserved server, which then rests.
func (w *Worker) vacate(tx *store.Tx, device *store.Device) {
	row, ok := tx.HardwareReservations.Get(device.HardwareReservationID)
	if !ok || row.Value.DeviceID != device.ID {
		return
	}
	vacant := *row.Value
	vacant.DeviceID = ""
	vacant.ProvisionableAt = w.Clock.Now().Add(reservationRest.in(w.Profile))
	tx.HardwareReservations.Update(tx, row, &vacant)
}

// releaseBlocks gives back the blocks out of which the devices of a project
// had addresses in a metro, when no device is left in them and the project has
// nothing else there.
func (w *Worker) releaseBlocks(ctx context.Context, projectID, metro string) error {
	for _, kind := range []string{packet.IPTypePrivateIPv4, packet.IPTypePublicIPv6} {
		err := w.write(ctx, func(tx *store.Tx) error {
			for _, block := range tx.Reservations.In(store.ManagementBlocks(projectID, metro, kind)) {
				if tx.UsesBlock(block.Value) || tx.UsesMetro(projectID, metro, "") {
					continue
				}
				// Whatever is made in the metro meanwhile writes the project.
				if project, ok := tx.Projects.Get(projectID); ok {
					tx.Projects.Require(tx, project)
				}
				tx.RequireUnassigned(block.Value.Block)
				tx.Reservations.Delete(tx, block)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("releasing the project's unused blocks: %w", err)
		}
	}
	return nil
}
