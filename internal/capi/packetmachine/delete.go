package packetmachine

import (
	"context"
	"fmt"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

// delete gives the device back and waits until it is gone. Every device that carries the machine's tags goes, also one that
// was never recorded. The finalizer is dropped only after a complete listing without any of them.
func (r *Reconciler) delete(ctx context.Context, s *scope) (ctrl.Result, error) {
	machine := s.packetMachine
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
	remaining, err := s.account.Devices.All(ctx, id)
	if err != nil {
		return r.apiFailure(ctx, s, infrav1.DeviceDeletingReason, fmt.Errorf("looking for the device: %w", err))
	}
	if len(remaining) == 0 {
		if remaining, err = r.elsewhere(ctx, s, id); err != nil {
			return r.apiFailure(ctx, s, infrav1.DeviceDeletingReason, fmt.Errorf("looking for the device: %w", err))
		}
	}
	set(machine, infrav1.CredentialsAvailableCondition, true, infrav1.CredentialsAvailableReason, "")
	if len(remaining) == 0 {
		ctrl.LoggerFrom(ctx).Info("The device is gone")
		r.Recorder.Eventf(machine, nil, "Normal", "DeviceDeleted", "Delete", "The device is gone")
		controllerutil.RemoveFinalizer(machine, infrav1.MachineFinalizer)
		return ctrl.Result{}, nil
	}
	var states []string
	for _, device := range remaining {
		states = append(states, fmt.Sprintf("device %s is %s", device.ID, device.State))
		if devices.Leaving(device) {
			continue
		}
		err := s.account.Client.DeleteDevice(ctx, device.ID, true)
		switch {
		case err == nil:
			ctrl.LoggerFrom(ctx).Info("Deleting device", "device", device.ID)
		case packet.IsNotFound(err):
		case packet.IsUnprocessable(err):
			// The API refuses to delete a device at some moments of its life, so this is worth trying again soon.
			set(machine, infrav1.DeviceReadyCondition, false, infrav1.DeviceDeletingReason,
				fmt.Sprintf("the Packet API refuses to delete device %s, trying again: %v", device.ID, err))
			return ctrl.Result{RequeueAfter: 2 * r.PollInterval}, nil
		default:
			return r.apiFailure(ctx, s, infrav1.DeviceDeletingReason, fmt.Errorf("deleting device %s: %w", device.ID, err))
		}
	}
	machine.Status.InstanceStatus = string(remaining[0].State)
	set(machine, infrav1.DeviceReadyCondition, false, infrav1.DeviceDeletingReason, "waiting until the device is gone: "+strings.Join(states, ", "))
	return ctrl.Result{RequeueAfter: r.PollInterval}, nil
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
