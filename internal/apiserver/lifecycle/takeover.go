package lifecycle

import (
	"context"
	"fmt"
	"slices"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/pkg/packet"
)

// takeOver makes records and machines agree after nobody looked for a while:
// machines without a device are removed, and devices whose machine was
// switched on or off, or is gone, say so. All else the agents find out by
// themselves.
func (w *Worker) takeOver(ctx context.Context) error {
	statuses, err := w.Driver.List(ctx)
	if err != nil {
		return fmt.Errorf("listing the machines: %w", err)
	}
	present := make(map[string]struct{}, len(statuses))
	for _, status := range statuses {
		present[status.ID] = struct{}{}
	}

	// A device is always recorded before its machine is made, so a machine
	// that was listed and has no device now has none.
	var orphans, gone []string
	type place struct{ project, metro string }
	unused := map[place]struct{}{}
	err = w.Store.Read(ctx, func(s *store.Snapshot) error {
		for id := range present {
			if _, ok := s.Devices.Get(id); !ok {
				orphans = append(orphans, id)
			}
		}
		for _, row := range s.Devices.All() {
			if _, ok := present[row.Value.ID]; !ok && w.Driver.SelfReporting() && booted(row.Value) {
				gone = append(gone, row.Value.ID)
			}
		}
		for _, row := range s.Reservations.All() {
			if row.Value.Management && len(s.Assignments.In(store.OfReservation(row.Value.ID))) == 0 {
				unused[place{row.Value.ProjectID, row.Value.Metro}] = struct{}{}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}

	for _, id := range orphans {
		w.wait.Go(func() { w.removeOrphan(ctx, id) })
	}
	for _, status := range statuses {
		event := machines.Event{ID: status.ID, Power: status.Power, Detail: "found so when the API server started"}
		if err := w.powerChanged(ctx, event); err != nil {
			return err
		}
	}
	for _, id := range gone {
		event := machines.Event{ID: id, Power: machines.PowerOff, Detail: "the machine is gone"}
		if err := w.powerChanged(ctx, event); err != nil {
			return err
		}
	}
	for place := range unused {
		if err := w.releaseBlocks(ctx, place.project, place.metro); err != nil {
			return err
		}
	}
	return nil
}

func (w *Worker) removeOrphan(ctx context.Context, id string) {
	w.Logger.InfoContext(ctx, "Removing a machine that no device has.", "machine", id)
	retry := firstRetry
	for {
		err := w.Driver.Deprovision(ctx, id)
		if err == nil || ctx.Err() != nil {
			return
		}
		w.Logger.WarnContext(ctx, "A machine that no device has was not removed; trying again.", "machine", id, "in", retry, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-w.Clock.After(retry):
		}
		retry = min(2*retry, lastRetry)
	}
}

// powerChanged records that a machine was switched on or off without having
// been asked. A machine can go off before its boot is recorded; recordSteps
// then comes back to it.
func (w *Worker) powerChanged(ctx context.Context, event machines.Event) error {
	// Remembering it before looking at the record leaves no gap: either the
	// boot is recorded by then, or whoever records it finds this.
	w.rememberPower(event)
	early := false
	err := w.change(ctx, event.ID, func(tx *store.Tx, row *store.Row[store.Device]) {
		early = false
		now := w.Clock.Now()
		device := *row.Value
		device.UpdatedAt = now
		switch {
		case event.Power == machines.PowerOff && device.State == packet.StateActive:
			device.State = packet.StateInactive
			Record(tx, &device, now, packet.EventPoweredOff, detailed("Device powered off", event.Detail), "")
		case event.Power == machines.PowerOn && device.State == packet.StateInactive:
			device.State = packet.StateActive
			Record(tx, &device, now, packet.EventPoweredOn, detailed("Device powered on", event.Detail), "")
		case event.Power == machines.PowerOff && installing(&device) && !booted(&device):
			early = true
			return
		case event.Power == machines.PowerOff && installing(&device):
			device.State = packet.StateFailed
			device.StepAt = now
			Record(tx, &device, now, eventInstallationFailed,
				detailed("Provisioning failed: the machine was switched off before it phoned home", event.Detail), "failed")
		default:
			return
		}
		tx.Devices.Update(tx, row, &device)
	})
	if !early {
		w.wentOffEarly(event.ID)
	}
	return err
}

// rememberPower keeps that a machine went off until it is known to be on.
func (w *Worker) rememberPower(event machines.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if event.Power == machines.PowerOff {
		w.early[event.ID] = event
	} else {
		delete(w.early, event.ID)
	}
}

// wentOffEarly tells, once, whether a machine went off before its boot was
// recorded.
func (w *Worker) wentOffEarly(id string) (machines.Event, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	event, ok := w.early[id]
	delete(w.early, id)
	return event, ok
}

// isOn tells whether a machine is known to run now: one that went off may
// have been switched on again by whoever made it.
func (w *Worker) isOn(ctx context.Context, id string) bool {
	statuses, err := w.Driver.List(ctx)
	return err == nil && slices.ContainsFunc(statuses, func(status machines.Status) bool {
		return status.ID == id && status.Power == machines.PowerOn
	})
}

func detailed(text, detail string) string {
	if detail == "" {
		return text
	}
	return text + ": " + detail
}
