package lifecycle

import (
	"fmt"
	"slices"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// The functions here change a device on somebody's request, inside a
// transaction. The worker sees the change and carries it out.

// Queue makes a device one that is yet to be installed.
func Queue(device *store.Device, now time.Time) {
	device.State = packet.StateQueued
	device.Installation = 1
	device.StepAt = now
}

// Power asks for a power action. It returns false where the device's state
// does not allow it.
func Power(tx *store.Tx, row *store.Row[store.Device], action string, now time.Time) bool {
	operation, ok := operations[action]
	if !ok || !slices.Contains(operation.from, row.Value.State) {
		return false
	}
	device := *row.Value
	device.State = operation.during
	device.Operation = action
	device.OperationStarted = false
	device.StepAt = now
	device.UpdatedAt = now
	tx.Devices.Update(tx, row, &device)
	Record(tx, &device, now, packet.EventPowerQueued, operation.queued, "")
	return true
}

// Actions lists what can be asked of a device in its present state.
func Actions(device *store.Device) []string {
	var actions []string
	for _, action := range []string{packet.ActionPowerOn, packet.ActionPowerOff, packet.ActionReboot, packet.ActionRescue} {
		if slices.Contains(operations[action].from, device.State) {
			actions = append(actions, action)
		}
	}
	if Reinstallable(device) {
		actions = append(actions, packet.ActionReinstall)
	}
	return actions
}

// Reinstallable tells whether a device can be installed anew.
func Reinstallable(device *store.Device) bool {
	switch device.State {
	case packet.StateActive, packet.StateInactive, packet.StateFailed:
		return !device.Locked
	}
	return false
}

// Reinstall begins another installation.
func Reinstall(tx *store.Tx, row *store.Row[store.Device], change func(*store.Device), now time.Time) {
	archive(tx, row.Value)
	device := *row.Value
	change(&device)
	device.State = packet.StateReinstalling
	device.Steps = nil
	device.Rescue = false
	device.Installation++
	device.StepAt = now
	device.UpdatedAt = now
	tx.Devices.Update(tx, row, &device)
}

// Remove makes a device go. One that is going already is left alone.
func Remove(tx *store.Tx, row *store.Row[store.Device], now time.Time) {
	if row.Value.State == packet.StateDeprovisioning {
		return
	}
	device := *row.Value
	device.State = packet.StateDeprovisioning
	device.StepAt = now
	device.UpdatedAt = now
	tx.Devices.Update(tx, row, &device)
}

// PhonedHome records that a machine is up. Only the first time after an
// installation makes a difference; a machine phones home at every boot. A
// device that was given up because its machine went off is made good by it.
func PhonedHome(tx *store.Tx, row *store.Row[store.Device], now time.Time) {
	if !installing(row.Value) && row.Value.State != packet.StateFailed {
		return
	}
	device := *row.Value
	changed := false
	for i, step := range stepsOf(&device) {
		if _, done := device.StepDone(i); step.phonesHome && !done {
			device.SetStep(i, now)
			changed = true
		}
	}
	if !changed {
		return
	}
	device.UpdatedAt = now
	// A machine can be quicker than the record of its boot. The worker then
	// makes the device active with that record.
	if complete(&device) {
		device.State = packet.StateActive
	}
	tx.Devices.Update(tx, row, &device)
}

// UserState records what a machine says of its user data. The code is from
// 1000 to 1099.
func UserState(tx *store.Tx, device *store.Device, code int, state, message string, now time.Time) {
	Record(tx, device, now, fmt.Sprintf("%s%d", packet.EventUserTypePrefix, code), message, state)
}
