package packetmachine

import (
	"context"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/cluster-api/util/finalizers"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

func (r *Reconciler) normal(ctx context.Context, s *scope) (ctrl.Result, error) {
	var (
		secret string
		shared bool
		err    error
	)
	if s.packetMachine.Spec.ProviderID == "" {
		if secret, shared, err = r.bootstrapSecret(ctx, s); err != nil {
			return ctrl.Result{}, err
		}
		if waiting(s, secret) {
			return waitingResult(shared), nil
		}
	}
	id, err := s.identity()
	if err != nil {
		r.complain(ctx, s.packetMachine, infrav1.DeviceReadyCondition, infrav1.DeviceNotFoundReason, err.Error())
		return ctrl.Result{}, nil
	}
	if done, result, err := r.findAccount(ctx, s); done {
		return result, err
	}
	// The finalizer guards the device, so it comes just before the first call that can make one: a machine that only ever
	// waited can go at once, also without credentials.
	if added, err := finalizers.EnsureFinalizer(ctx, r.Client, s.packetMachine, infrav1.MachineFinalizer); err != nil {
		return ctrl.Result{}, fmt.Errorf("adding the finalizer: %w", err)
	} else if added {
		if s.writer, err = r.versions.New(s.packetMachine); err != nil {
			return ctrl.Result{}, err
		}
	}

	var found devices.Found
	if id.DeviceID == "" {
		found, result, err := r.adopt(ctx, s, id, secret, shared)
		if err != nil || found.Device == nil {
			return result, err
		}
		return r.follow(ctx, s, found)
	}
	if found, err = r.look(ctx, s, id); err != nil {
		return r.apiFailure(ctx, s, infrav1.DeviceAPIErrorReason, err)
	}
	set(s.packetMachine, infrav1.CredentialsAvailableCondition, true, infrav1.CredentialsAvailableReason, "")
	if found.Device == nil {
		return r.gone(ctx, s, id, found)
	}
	return r.follow(ctx, s, found)
}

// look finds the device that is on record. One that was settled when it was last seen is looked for in a listing that may be
// as old as the time between two looks: so a thousand machines need one listing of the project for each such time.
func (r *Reconciler) look(ctx context.Context, s *scope, id devices.Identity) (devices.Found, error) {
	if settled(s) {
		found, err := s.account.Devices.Look(ctx, id, r.Now().Add(-r.ResyncInterval))
		if err != nil || found.Device != nil || isGone(s.packetMachine) {
			return found, err
		}
	}
	return s.account.Devices.Find(ctx, id)
}

// settled tells whether nothing was on its way when the machine was last looked at.
func settled(s *scope) bool {
	return isGone(s.packetMachine) || s.packetMachine.Status.InstanceStatus == string(packet.StateActive) && !booting(s)
}

// isGone tells whether it is known that the device does not exist any more.
func isGone(machine *infrav1.PacketMachine) bool {
	return conditions.GetReason(machine, infrav1.DeviceReadyCondition) == infrav1.DeviceNotFoundReason
}

// follow brings everything about a device up to date.
func (r *Reconciler) follow(ctx context.Context, s *scope, found devices.Found) (ctrl.Result, error) {
	device := found.Device
	// From here on the device is on record, whatever else fails: the deferred patch writes it.
	s.packetMachine.Spec.ProviderID = packet.ProviderID(device.ID)
	r.observe(ctx, s.packetMachine, device)
	if err := r.deleteSurplus(ctx, s, found.Surplus); err != nil {
		return r.apiFailure(ctx, s, infrav1.DeviceAPIErrorReason, err)
	}
	if err := r.protect(ctx, s, device); err != nil {
		return r.apiFailure(ctx, s, infrav1.DeviceAPIErrorReason, err)
	}
	if err := r.label(ctx, s, device); err != nil {
		return r.apiFailure(ctx, s, infrav1.DeviceAPIErrorReason, err)
	}
	// Each of these has a condition of its own, and none is a reason not to do the others.
	connected := r.setUpNetwork(ctx, s, device)
	peered := r.openBGPSession(ctx, s, device)
	addressed := r.assignElasticIP(ctx, s, device)
	bootstrapped, err := r.checkBootstrap(ctx, s, device)
	if err != nil {
		return r.apiFailure(ctx, s, infrav1.DeviceAPIErrorReason, err)
	}
	switch {
	case devices.Installing(device) && !r.late(ctx, s.packetMachine, device), !addressed:
		return ctrl.Result{RequeueAfter: r.PollInterval}, nil
	case !bootstrapped:
		return ctrl.Result{RequeueAfter: 2 * r.PollInterval}, nil
	case !connected, !peered:
		return ctrl.Result{RequeueAfter: min(5*r.PollInterval, r.ResyncInterval)}, nil
	default:
		return ctrl.Result{RequeueAfter: r.next(found.Taken)}, nil
	}
}

// next is when the listing that was just looked at is too old. All machines that have seen the same one come back together,
// and share the next.
func (r *Reconciler) next(taken time.Time) time.Duration {
	if taken.IsZero() {
		return r.ResyncInterval
	}
	return min(max(taken.Add(r.ResyncInterval).Sub(r.Now()), r.PollInterval), r.ResyncInterval)
}
