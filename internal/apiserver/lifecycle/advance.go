package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/pkg/packet"
)

// view is what the worker decides on.
type view struct {
	device store.Device
	spec   machines.Spec
}

// advance does the next thing about a device.
func (w *Worker) advance(ctx context.Context, id string) (next, error) {
	v, found, err := w.view(ctx, id)
	if err != nil {
		return next{}, err
	}
	if !found {
		w.setAddresses(id, nil)
		w.wentOffEarly(id)
		return next{}, nil
	}
	if end := v.device.TerminationTime; end != nil && v.device.State != packet.StateDeprovisioning && !end.After(w.Clock.Now()) {
		return next{now: true}, w.change(ctx, v.device.ID, func(tx *store.Tx, row *store.Row[store.Device]) {
			Remove(tx, row, w.Clock.Now())
		})
	}
	switch v.device.State {
	case packet.StateQueued, packet.StateProvisioning, packet.StateReinstalling:
		next, err := w.install(ctx, v)
		return next.by(v.device.TerminationTime, w.Clock.Now()), err
	case packet.StatePoweringOn, packet.StatePoweringOff:
		return w.power(ctx, v)
	case packet.StateDeprovisioning:
		return w.remove(ctx, v)
	default:
		return w.settle(ctx, v)
	}
}

func (w *Worker) view(ctx context.Context, id string) (v view, found bool, err error) {
	err = w.Store.Read(ctx, func(s *store.Snapshot) error {
		row, ok := s.Devices.Get(id)
		if !ok {
			return nil
		}
		found = true
		v.device = *row.Value
		v.spec = w.spec(s, row.Value)
		return nil
	})
	return v, found, err
}

// spec tells the driver what it needs to know of a device.
func (w *Worker) spec(s *store.Snapshot, device *store.Device) machines.Spec {
	spec := machines.Spec{
		ID:              device.ID,
		Hostname:        device.Hostname,
		Plan:            device.Plan,
		OperatingSystem: device.OperatingSystem,
	}
	if plan, ok := w.Catalogue.Plan(device.Plan); ok {
		spec.CPUs, spec.MemoryBytes = plan.CPUs, plan.MemoryBytes
	}
	for _, row := range s.AddressesOf(device.ID) {
		assignment := row.Value
		address := machines.Address{
			Address:    assignment.Address.String(),
			CIDR:       assignment.Block.Bits(),
			Family:     4,
			Public:     assignment.Public,
			Management: assignment.Management,
		}
		if assignment.Address.Is6() {
			address.Family = 6
		}
		if assignment.Management {
			address.Gateway = assignment.Gateway.String()
		}
		spec.Addresses = append(spec.Addresses, address)
	}
	return spec
}

// install goes through the steps that are due.
func (w *Worker) install(ctx context.Context, v view) (next, error) {
	now := w.Clock.Now()
	due := v.device.StepAt
	if v.device.State == packet.StateReinstalling && len(v.device.Steps) == 0 && !v.device.FastWipe {
		due = due.Add(wipe.in(w.Profile))
	}
	var over []int
	for i, step := range stepsOf(&v.device) {
		if _, done := v.device.StepDone(i); done {
			if step.boots {
				// The machine is there, and may be given addresses while it boots.
				if err := w.agreeOnAddresses(ctx, v); err != nil {
					return next{}, err
				}
			}
			continue
		}
		if step.phonesHome && w.Driver.SelfReporting() {
			break
		}
		due = due.Add(step.takes.in(w.Profile))
		if due.After(now) {
			if len(over) > 0 {
				break
			}
			return next{after: due.Sub(now)}, nil
		}
		if step.boots {
			// What went before is seen while the machine is made, unless there is
			// no machine to wait for.
			if len(over) > 0 && w.Driver.SelfReporting() {
				break
			}
			if err := w.boot(ctx, v); err != nil {
				if ctx.Err() != nil {
					return next{}, err
				}
				if len(over) > 0 {
					break
				}
				return next{now: true}, w.installationFailed(ctx, v.device, err.Error())
			}
		}
		over = append(over, i)
		// A step begins when the one before it should have ended, however
		// late that was noticed, but not while the machine was being made.
		if step.boots {
			now = w.Clock.Now()
			due = now
		}
		v.device.StepAt = due
	}
	if len(over) == 0 {
		return next{}, nil
	}
	return next{now: true}, w.recordSteps(ctx, v, over)
}

// boot makes the machine, or makes it anew.
func (w *Worker) boot(ctx context.Context, v view) error {
	var err error
	if v.device.State == packet.StateReinstalling {
		// What became of the earlier installation says nothing about this one.
		w.wentOffEarly(v.device.ID)
		err = w.Driver.Reinstall(ctx, v.spec)
		if errors.Is(err, machines.ErrNotFound) {
			// What failed to be installed at first has no machine yet.
			err = w.Driver.Provision(ctx, v.spec)
		}
	} else {
		err = w.Driver.Provision(ctx, v.spec)
	}
	if err != nil {
		return err
	}
	w.setAddresses(v.device.ID, v.spec.Addresses)
	return nil
}

// recordSteps writes which steps are over, and makes the device active with
// the last.
func (w *Worker) recordSteps(ctx context.Context, v view, over []int) error {
	err := w.change(ctx, v.device.ID, func(tx *store.Tx, row *store.Row[store.Device]) {
		if !installing(row.Value) || row.Value.Installation != v.device.Installation {
			return
		}
		now := w.Clock.Now()
		device := *row.Value
		for _, step := range over {
			device.SetStep(step, now)
		}
		device.StepAt = v.device.StepAt
		device.UpdatedAt = now
		if device.State == packet.StateQueued {
			device.State = packet.StateProvisioning
		}
		if complete(&device) {
			device.State = packet.StateActive
		}
		tx.Devices.Update(tx, row, &device)
	})
	if err != nil {
		return err
	}
	if event, ok := w.wentOffEarly(v.device.ID); ok && !w.isOn(ctx, event.ID) {
		return w.powerChanged(ctx, event)
	}
	return nil
}

func (w *Worker) installationFailed(ctx context.Context, device store.Device, reason string) error {
	w.Logger.WarnContext(ctx, "A device failed to be installed.", "device", device.ID, "reason", reason)
	return w.change(ctx, device.ID, func(tx *store.Tx, row *store.Row[store.Device]) {
		if !installing(row.Value) || row.Value.Installation != device.Installation {
			return
		}
		now := w.Clock.Now()
		failed := *row.Value
		failed.State = packet.StateFailed
		failed.StepAt = now
		failed.UpdatedAt = now
		tx.Devices.Update(tx, row, &failed)
		Record(tx, &failed, now, eventInstallationFailed, "Provisioning failed: "+reason, "failed")
	})
}

// power carries out a power action.
func (w *Worker) power(ctx context.Context, v view) (next, error) {
	operation, ok := operations[v.device.Operation]
	if !ok {
		return next{}, fmt.Errorf("the power action %q is not known", v.device.Operation)
	}
	if !v.device.OperationStarted {
		return next{now: true}, w.change(ctx, v.device.ID, func(tx *store.Tx, row *store.Row[store.Device]) {
			if row.Value.State != operation.during || row.Value.OperationStarted {
				return
			}
			device := *row.Value
			device.OperationStarted = true
			tx.Devices.Update(tx, row, &device)
			Record(tx, &device, w.Clock.Now(), packet.EventPowerStarted, operation.started, "")
		})
	}
	if wait := v.device.StepAt.Add(operation.takes.in(w.Profile)).Sub(w.Clock.Now()); wait > 0 {
		return next{after: wait}, nil
	}
	state, event, text := operation.after, operation.done, operation.text
	rescued := v.device.Operation == packet.ActionRescue
	if err := w.switchPower(ctx, v.device.Operation, v.spec); err != nil {
		if ctx.Err() != nil {
			return next{}, err
		}
		rescued = false
		state, event, text = operation.failed, eventPowerFailed, fmt.Sprintf("%s failed: %v", v.device.Operation, err)
	}
	return next{now: true}, w.change(ctx, v.device.ID, func(tx *store.Tx, row *store.Row[store.Device]) {
		if row.Value.State != operation.during || row.Value.Operation != v.device.Operation {
			return
		}
		now := w.Clock.Now()
		device := *row.Value
		device.State = state
		device.Operation = ""
		device.OperationStarted = false
		device.Rescue = rescued
		device.UpdatedAt = now
		tx.Devices.Update(tx, row, &device)
		Record(tx, &device, now, event, text, "")
		if bootsIPXE(&device) && state == packet.StateActive && !rescued {
			Record(tx, &device, now, packet.EventConnectedToDHCP, "Device connected to DHCP system", "")
		}
	})
}

// bootsIPXE tells whether a device fetches its iPXE script at every boot, and
// not at its first one alone.
func bootsIPXE(device *store.Device) bool {
	return device.OperatingSystem == packet.OSCustomIPXE && device.AlwaysPXE
}

func (w *Worker) switchPower(ctx context.Context, action string, spec machines.Spec) error {
	switch action {
	case packet.ActionPowerOn:
		return w.Driver.PowerOn(ctx, spec.ID)
	case packet.ActionPowerOff:
		return w.Driver.PowerOff(ctx, spec.ID)
	case packet.ActionRescue:
		return w.Driver.Rescue(ctx, spec)
	default:
		return w.Driver.Reboot(ctx, spec.ID)
	}
}

// settle looks after a device that is where it should be: its addresses, its
// root password, and its end.
func (w *Worker) settle(ctx context.Context, v view) (next, error) {
	now := w.Clock.Now()
	var soonest time.Duration
	later := func(at time.Time) bool {
		wait := at.Sub(now)
		if wait <= 0 {
			return false
		}
		if soonest == 0 || wait < soonest {
			soonest = wait
		}
		return true
	}

	// Its end is looked at before any state, and here for when to come back.
	if end := v.device.TerminationTime; end != nil && !later(*end) {
		return next{now: true}, nil
	}
	if v.device.State == packet.StateFailed && v.device.HardwareReservationID == "" && !later(v.device.StepAt.Add(failedLife)) {
		return next{now: true}, w.change(ctx, v.device.ID, func(tx *store.Tx, row *store.Row[store.Device]) {
			if row.Value.State == packet.StateFailed {
				Remove(tx, row, now)
			}
		})
	}
	if v.device.RootPassword != "" && !later(passwordAt(&v.device).Add(rootPasswordLife)) {
		return next{now: true}, w.change(ctx, v.device.ID, func(tx *store.Tx, row *store.Row[store.Device]) {
			device := *row.Value
			device.RootPassword = ""
			tx.Devices.Update(tx, row, &device)
		})
	}
	if v.device.State != packet.StateFailed {
		if err := w.agreeOnAddresses(ctx, v); err != nil {
			return next{}, err
		}
	}
	return next{after: soonest}, nil
}

// passwordAt is when a device got the root password that it has.
func passwordAt(device *store.Device) time.Time {
	if device.RootPasswordAt.IsZero() {
		return device.CreatedAt
	}
	return device.RootPasswordAt
}

// agreeOnAddresses tells the driver of a device's addresses, unless it was
// told of the same before.
func (w *Worker) agreeOnAddresses(ctx context.Context, v view) error {
	w.mu.Lock()
	told, known := w.addresses[v.device.ID]
	w.mu.Unlock()
	if known && told == w.digest(v.spec.Addresses) {
		return nil
	}
	err := w.Driver.SetAddresses(ctx, v.device.ID, v.spec.Addresses)
	if err != nil && !errors.Is(err, machines.ErrNotFound) {
		return fmt.Errorf("giving the machine its addresses: %w", err)
	}
	w.setAddresses(v.device.ID, v.spec.Addresses)
	return nil
}

// setAddresses remembers what the driver was told; nil forgets it.
func (w *Worker) setAddresses(id string, addresses []machines.Address) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if addresses == nil {
		delete(w.addresses, id)
		return
	}
	w.addresses[id] = w.digest(addresses)
}

// digest stands for a list of addresses in the memory of a worker that has
// many devices.
func (w *Worker) digest(addresses []machines.Address) uint64 {
	var sum uint64
	for _, address := range addresses {
		sum = sum*31 + maphash.Comparable(w.seed, address)
	}
	return sum
}

// change updates a device that still exists.
func (w *Worker) change(ctx context.Context, id string, fn func(*store.Tx, *store.Row[store.Device])) error {
	return w.write(ctx, func(tx *store.Tx) error {
		if row, ok := tx.Devices.Get(id); ok {
			fn(tx, row)
		}
		return nil
	})
}
