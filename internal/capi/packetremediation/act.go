package packetremediation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"sigs.k8s.io/cluster-api/util/finalizers"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

// move is what comes next of a step.
type move struct {
	// action is what to ask the Packet API for, empty if nothing.
	action string
	// done means that the step is over once the action, if there is one, is accepted.
	done bool
}

// nextMove tells what comes next of a step, from the state of the device. happened tells whether events of the device since
// the try began have any of the given types; it is asked only where the state alone leaves it open.
func nextMove(step infrav1.PacketRemediationStep, progress infrav1.PacketRemediationProgress, state packet.DeviceState,
	happened func(types ...string) (bool, error),
) (move, error) {
	switch step {
	case infrav1.RemediationPowerCycle:
		switch {
		case state == packet.StateInactive:
			return move{action: packet.ActionPowerOn, done: true}, nil
		case state == packet.StatePoweringOff:
			return move{}, nil
		case progress == infrav1.RemediationPoweredOff || state == packet.StatePoweringOn:
			return move{done: true}, nil
		}
		if on, err := happened(packet.EventPoweredOn); err != nil || on {
			return move{done: on}, err
		}
		return move{action: packet.ActionPowerOff}, nil

	case infrav1.RemediationReinstall:
		switch state {
		case packet.StateReinstalling, packet.StateQueued, packet.StateProvisioning:
			return move{done: true}, nil
		}
		if again, err := happened(packet.EventProvisioningStarted); err != nil || again {
			return move{done: again}, err
		}
		return move{action: packet.ActionReinstall, done: true}, nil

	default:
		switch state {
		case packet.StateInactive:
			// A device that is off needs no more than being on.
			return move{action: packet.ActionPowerOn, done: true}, nil
		case packet.StatePoweringOn:
			return move{done: true}, nil
		case packet.StatePoweringOff:
			return move{}, nil
		}
		rebooted, err := happened(packet.EventPowerQueued, packet.EventPowerStarted, packet.EventPowerRebooted, packet.EventPoweredOn)
		if err != nil || rebooted {
			return move{done: rebooted}, err
		}
		return move{action: packet.ActionReboot, done: true}, nil
	}
}

// act asks the Packet API for what the try that has begun still needs. resumed means that it may have been asked already:
// the answer was lost, or the manager died. Then the events that the device had since tell.
func (r *Reconciler) act(ctx context.Context, s *scope, c course, device *packet.Device, resumed bool) (ctrl.Result, error) {
	status := &s.remediation.Status
	next, err := nextMove(status.Step, status.Progress, device.State, func(types ...string) (bool, error) {
		if !resumed {
			return false, nil
		}
		return happened(ctx, s.account.Client, device.ID, status.LastEvent, types)
	})
	if err != nil {
		return r.failed(ctx, s, err)
	}
	if status.Step == infrav1.RemediationPowerCycle && device.State == packet.StateInactive && status.Progress == infrav1.RemediationBegun {
		status.Progress = infrav1.RemediationPoweredOff
		if _, err := r.write(ctx, s, 0, false, infrav1.RemediationRunningReason, fmt.Sprintf("device %s is off, and is being turned on again", device.ID)); err != nil {
			return ctrl.Result{}, err
		}
	}
	if next.action != "" {
		if result, done, err := r.ask(ctx, s, device, next.action); done || err != nil {
			return result, err
		}
	}
	if !next.done {
		return ctrl.Result{RequeueAfter: r.PollInterval}, nil
	}
	status.Progress, status.LastTried = infrav1.RemediationActed, metav1.NewTime(r.Now())
	result, err := r.waiting(ctx, s, c, c.patience(status.Step))
	if err != nil {
		return result, err
	}
	r.event(s, "Normal", string(status.Step), fmt.Sprintf("%s of device %s, try %d of %d", status.Step, device.ID, standing(status).tries, c.retryLimit))
	return result, r.release(ctx, s)
}

// ask asks the Packet API for an action. done means that it did not come about, and that the result says what next.
func (r *Reconciler) ask(ctx context.Context, s *scope, device *packet.Device, action string) (_ ctrl.Result, done bool, err error) {
	switch action {
	case packet.ActionPowerOff:
		// Whoever turns a device off has to turn it on again, also when the machine is found healthy in between.
		if _, err := finalizers.EnsureFinalizer(ctx, r.Client, s.remediation, infrav1.RemediationFinalizer); err != nil {
			return ctrl.Result{}, true, fmt.Errorf("adding the finalizer: %w", err)
		}
	case packet.ActionReinstall:
		err = r.refreshUserData(ctx, s, device)
	}
	if err == nil {
		err = s.account.Client.DeviceAction(ctx, device.ID, packet.DeviceAction{Type: action})
	}
	if err == nil {
		ctrl.LoggerFrom(ctx).Info("Asked for an action", "device", device.ID, "action", action)
		return ctrl.Result{}, false, nil
	}
	err = fmt.Errorf("asking for %s of device %s: %w", action, device.ID, err)
	var answer *packet.Error
	if packet.IsTransient(err) || !errors.As(err, &answer) || packet.IsUnauthorized(err) || packet.IsForbidden(err) || packet.IsNotFound(err) {
		result, err := r.failed(ctx, s, err)
		return result, true, err
	}
	// The API refuses what does not fit the state. If that is another one by now, it is worth another look.
	now, readErr := s.account.Client.Device(ctx, device.ID)
	if readErr != nil {
		result, err := r.failed(ctx, s, fmt.Errorf("reading device %s: %w", device.ID, readErr))
		return result, true, err
	}
	if now.State != device.State {
		return ctrl.Result{RequeueAfter: r.PollInterval}, true, nil
	}
	ctrl.LoggerFrom(ctx).Error(err, "The Packet API refuses the step")
	r.event(s, "Warning", infrav1.RemediationStepFailedReason, err.Error())
	standing(&s.remediation.Status).skip().write(&s.remediation.Status)
	s.remediation.Status.Progress = ""
	result, err := r.write(ctx, s, time.Millisecond, false, infrav1.RemediationStepFailedReason, err.Error())
	return result, true, err
}

// newestEvent is the ID of the newest event of a device, empty if it has none.
func newestEvent(ctx context.Context, api *packet.Client, deviceID string) (string, error) {
	events, err := api.DeviceEvents(ctx, deviceID)
	if err != nil {
		return "", fmt.Errorf("reading the events of device %s: %w", deviceID, err)
	}
	if len(events) == 0 {
		return "", nil
	}
	return events[0].ID, nil
}

// happened tells whether a device had an event of any of some types, or any of theirs that are more exact, after the event
// of an ID. Times would not do: the manager and the API have clocks of their own, and a status has whole seconds.
func happened(ctx context.Context, api *packet.Client, deviceID, after string, types []string) (bool, error) {
	events, err := api.DeviceEvents(ctx, deviceID)
	if err != nil {
		return false, fmt.Errorf("reading the events of device %s: %w", deviceID, err)
	}
	for _, event := range events {
		if event.ID == after {
			break
		}
		for _, kind := range types {
			if event.Type == kind || strings.HasPrefix(event.Type, kind+".") {
				return true, nil
			}
		}
	}
	return false, nil
}

// release takes the finalizer away when there is nothing left that has to be finished.
func (r *Reconciler) release(ctx context.Context, s *scope) error {
	if !controllerutil.ContainsFinalizer(s.remediation, infrav1.RemediationFinalizer) {
		return nil
	}
	before := s.remediation.DeepCopy()
	controllerutil.RemoveFinalizer(s.remediation, infrav1.RemediationFinalizer)
	if err := r.Client.Patch(ctx, s.remediation, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing the finalizer: %w", err)
	}
	return nil
}

// delete turns on what was turned off. Otherwise a remediation can go at any moment.
func (r *Reconciler) delete(ctx context.Context, s *scope) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(s.remediation, infrav1.RemediationFinalizer) {
		return ctrl.Result{}, nil
	}
	if s.machine == nil || !s.machine.DeletionTimestamp.IsZero() || s.packetMachine == nil || !s.packetMachine.DeletionTimestamp.IsZero() ||
		s.cluster == nil || !s.cluster.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.release(ctx, s)
	}
	device, done, result, err := r.findDevice(ctx, s)
	if done || err != nil {
		return result, err
	}
	switch {
	case device == nil:
	case device.State == packet.StatePoweringOff:
		return ctrl.Result{RequeueAfter: r.PollInterval}, nil
	case device.State == packet.StateInactive:
		if err := s.account.Client.DeviceAction(ctx, device.ID, packet.DeviceAction{Type: packet.ActionPowerOn}); err != nil {
			if packet.IsUnprocessable(err) {
				// Somebody else was quicker; the next look tells.
				return ctrl.Result{RequeueAfter: r.PollInterval}, nil
			}
			return r.failed(ctx, s, fmt.Errorf("turning device %s on again: %w", device.ID, err))
		}
		r.event(s, "Normal", "PoweredOn", fmt.Sprintf("Turned device %s on again", device.ID))
	}
	return ctrl.Result{}, r.release(ctx, s)
}
