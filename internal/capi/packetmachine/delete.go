package packetmachine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

// delete gives the device back and waits until it is gone. Every device that was made for the machine goes, also one that
// was never recorded. The finalizer is dropped only after a complete listing without any of them.
func (r *Reconciler) delete(ctx context.Context, s *scope) (ctrl.Result, error) {
	machine := s.packetMachine
	r.refusals.forget(machine.UID)
	if !controllerutil.ContainsFinalizer(machine, infrav1.MachineFinalizer) {
		return ctrl.Result{}, nil
	}
	id, err := s.identity()
	if err != nil {
		// A provider ID that names no device of ours leaves the tags to go by.
		ctrl.LoggerFrom(ctx).Error(err, "Deleting by tags alone")
	}
	if done, result, err := r.findAccount(ctx, s); done {
		return result, err
	}
	remaining, err := r.remaining(ctx, s, id)
	if err != nil {
		return r.apiFailure(ctx, s, infrav1.DeviceDeletingReason, fmt.Errorf("looking for the device: %w", err))
	}
	set(machine, infrav1.CredentialsAvailableCondition, true, infrav1.CredentialsAvailableReason, "")
	if len(remaining) == 0 {
		if err := r.releaseKeys(ctx, s); err != nil {
			return r.apiFailure(ctx, s, infrav1.DeviceDeletingReason, err)
		}
		ctrl.LoggerFrom(ctx).Info("The device is gone")
		r.Recorder.Eventf(machine, nil, "Normal", "DeviceDeleted", "Delete", "The device is gone")
		controllerutil.RemoveFinalizer(machine, infrav1.MachineFinalizer)
		return ctrl.Result{}, nil
	}
	machine.Status.InstanceStatus = string(remaining[0].State)
	var states []string
	for _, device := range remaining {
		if err := r.deleteDevice(ctx, s, device); err != nil {
			return r.deletionFailure(ctx, s, device, err)
		}
		states = append(states, fmt.Sprintf("device %s is %s", device.ID, device.State))
	}
	return r.wait(ctx, s, "waiting until the device is gone: "+strings.Join(states, ", "), r.PollInterval)
}

// releaseKeys deletes the SSH keys that the machine brought along, which the Packet API made the project's, unless another
// device has them or another machine is about to bring them.
func (r *Reconciler) releaseKeys(ctx context.Context, s *scope) error {
	keys := devices.PublicKeys(s.packetMachine.Spec.SSHKeys)
	if len(keys) == 0 {
		return nil
	}
	machines := &infrav1.PacketMachineList{}
	if err := r.Client.List(ctx, machines); err != nil {
		return fmt.Errorf("looking for machines with the same SSH keys: %w", err)
	}
	for n := range machines.Items {
		if other := &machines.Items[n]; other.DeletionTimestamp.IsZero() && other.UID != s.packetMachine.UID {
			keys = slices.DeleteFunc(keys, func(key string) bool { return slices.Contains(other.Spec.SSHKeys, key) })
		}
	}
	err := s.account.Supply.ReleaseKeys(ctx, s.account.Client, s.account.Devices, keys)
	if packet.IsForbidden(err) || packet.IsUnprocessable(err) {
		// The device is gone, which is what matters: a token that may not delete keys must not hold up the machine.
		ctrl.LoggerFrom(ctx).Error(err, "SSH keys of the machine stay in the project")
		return nil
	}
	return err
}

// remaining are the devices that were made for the machine and still exist.
func (r *Reconciler) remaining(ctx context.Context, s *scope, id devices.Identity) ([]*packet.Device, error) {
	ours, foreign, err := s.account.Devices.All(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(ours) > 0 && id.DeviceID == "" && s.machine != nil {
		// Nothing is on record, so the bootstrap data has to tell which devices are the machine's.
		if secret, shared, err := r.bootstrapSecret(ctx, s); err == nil && secret != "" && !shared {
			if data, err := r.bootstrapData(ctx, s, secret); err == nil {
				id.Bootstrap = devices.Fingerprint(data)
			}
		}
		if ours, foreign, err = s.account.Devices.All(ctx, id); err != nil {
			return nil, err
		}
	}
	if len(ours) == 0 && len(foreign) > 0 {
		r.Recorder.Eventf(s.packetMachine, nil, "Warning", infrav1.DeviceConflictReason, "Delete",
			"Device %s has the names of this machine, was not made by it, and stays", foreign[0].ID)
	}
	if len(ours) > 0 {
		return ours, nil
	}
	return r.elsewhere(ctx, s, id)
}

// deletionFailure reports why a device cannot be deleted.
func (r *Reconciler) deletionFailure(ctx context.Context, s *scope, device *packet.Device, err error) (ctrl.Result, error) {
	var locked *errLocked
	switch {
	case errors.As(err, &locked):
		r.complain(ctx, s.packetMachine, infrav1.DeviceReadyCondition, infrav1.DeviceLockedReason, err.Error())
		return ctrl.Result{RequeueAfter: min(refusedRetry, r.ResyncInterval)}, nil
	case packet.IsUnprocessable(err):
		// The API refuses to delete a device at some moments of its life, so this is worth trying again soon.
		return r.wait(ctx, s, fmt.Sprintf("the Packet API refuses to delete device %s, which is %s, trying again: %s",
			device.ID, device.State, devices.Words(err)), 2*r.PollInterval)
	default:
		return r.apiFailure(ctx, s, infrav1.DeviceDeletingReason, err)
	}
}

// wait says what is waited for, and that it takes too long if it does: then the looks become rarer, and do not end.
func (r *Reconciler) wait(ctx context.Context, s *scope, message string, again time.Duration) (ctrl.Result, error) {
	machine := s.packetMachine
	timeout := r.Timeouts.of(machine).Deletion
	if passed(machine.DeletionTimestamp.Time, timeout, r.Now()) {
		r.complain(ctx, machine, infrav1.DeviceReadyCondition, infrav1.DeviceDeletionTimedOutReason, fmt.Sprintf(
			"%s; that is longer than the %s that spec.timeouts.deletion or the manager allows: ask the operator of the Packet API about it", message, timeout))
		return ctrl.Result{RequeueAfter: r.ResyncInterval}, nil
	}
	set(machine, infrav1.DeviceReadyCondition, false, infrav1.DeviceDeletingReason, message)
	return ctrl.Result{RequeueAfter: again}, nil
}

// elsewhere returns the recorded device if it exists although the listing does not have it. The listing is that of the
// project that the credentials or the PacketCluster name now, which may not be the one that the device was made in.
func (r *Reconciler) elsewhere(ctx context.Context, s *scope, id devices.Identity) ([]*packet.Device, error) {
	if id.DeviceID == "" {
		return nil, nil
	}
	device, err := s.account.Client.Device(ctx, id.DeviceID)
	switch {
	case packet.IsNotFound(err), packet.IsForbidden(err):
		// The Packet API says either of a device that is gone.
		return nil, nil
	case err != nil:
		return nil, err
	case device.State == packet.StateDeleted || !id.Marks(device):
		// A device without our tags is not ours, whatever the provider ID says.
		return nil, nil
	}
	return []*packet.Device{device}, nil
}
