package packetmachine

import (
	"context"
	"fmt"
	"slices"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

// protect locks or unlocks a device as its machine says. Where it says nothing, a lock that somebody else set stays.
func (r *Reconciler) protect(ctx context.Context, s *scope, device *packet.Device) error {
	wanted := s.packetMachine.Spec.DeletionProtection
	if wanted == nil || *wanted == device.Locked || devices.Leaving(device) {
		return nil
	}
	if _, err := s.account.Client.UpdateDevice(ctx, device.ID, packet.DeviceUpdate{Locked: wanted}); err != nil && !packet.IsNotFound(err) {
		return fmt.Errorf("setting locked to %t on device %s: %w", *wanted, device.ID, err)
	}
	ctrl.LoggerFrom(ctx).Info("Changed deletion protection", "device", device.ID, "locked", *wanted)
	return nil
}

// label adds the tags of the specification that a device lacks, because they were added later. Tags that were taken out of
// the specification stay: they may be somebody else's by now.
func (r *Reconciler) label(ctx context.Context, s *scope, device *packet.Device) error {
	wanted := s.packetMachine.Spec.Tags
	if packet.HasTags(device.Tags, wanted...) || devices.Leaving(device) {
		return nil
	}
	// The listing may be old, and all tags are replaced.
	current, err := s.account.Client.Device(ctx, device.ID)
	if packet.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the tags of device %s: %w", device.ID, err)
	}
	tags := slices.Clone(current.Tags)
	for _, tag := range wanted {
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	if len(tags) == len(current.Tags) {
		return nil
	}
	if _, err := s.account.Client.UpdateDevice(ctx, device.ID, packet.DeviceUpdate{Tags: &tags}); err != nil && !packet.IsNotFound(err) {
		return fmt.Errorf("adding tags to device %s: %w", device.ID, err)
	}
	return nil
}

// errLocked tells that a device cannot be deleted because somebody else locked it.
type errLocked struct{ id string }

func (e *errLocked) Error() string {
	return fmt.Sprintf("device %s is locked in the Packet API, and not by this machine: unlock it there, or set spec.deletionProtection to false", e.id)
}

// deleteDevice gives a device back. A lock that is the machine's own is opened first; the error is an *errLocked if it is
// somebody else's. A device that is gone or going is no error.
func (r *Reconciler) deleteDevice(ctx context.Context, s *scope, device *packet.Device) error {
	if devices.Leaving(device) {
		return nil
	}
	if device.Locked {
		if s.packetMachine.Spec.DeletionProtection == nil {
			return &errLocked{device.ID}
		}
		unlocked := false
		if _, err := s.account.Client.UpdateDevice(ctx, device.ID, packet.DeviceUpdate{Locked: &unlocked}); err != nil && !packet.IsNotFound(err) {
			return fmt.Errorf("unlocking device %s: %w", device.ID, err)
		}
	}
	if err := s.account.Client.DeleteDevice(ctx, device.ID, true); err != nil && !packet.IsNotFound(err) {
		return fmt.Errorf("deleting device %s: %w", device.ID, err)
	}
	return nil
}

// deleteSurplus deletes devices that were made for the machine and are not its device. They come to be only when the answer
// to a creation is lost and the device is listed later than the next look, and nobody else would ever delete them.
func (r *Reconciler) deleteSurplus(ctx context.Context, s *scope, surplus []*packet.Device) error {
	for _, device := range surplus {
		if devices.Leaving(device) {
			continue
		}
		ctrl.LoggerFrom(ctx).Info("Deleting a second device of the machine", "device", device.ID)
		r.Recorder.Eventf(s.packetMachine, nil, "Warning", "SurplusDeviceDeleted", "Delete", "Deleting device %s, which has the tags of this machine", device.ID)
		if err := r.deleteDevice(ctx, s, device); err != nil {
			return fmt.Errorf("nobody uses it: %w", err)
		}
	}
	return nil
}
