package packetmachine

import (
	"context"
	"errors"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

// longestRetryAfter is how long the Packet API is believed that it wants to be left alone.
const longestRetryAfter = 10 * time.Minute

// invalidError is a mistake in the user's objects that was found before the Packet API was asked.
type invalidError struct{ reason, text string }

func (e *invalidError) Error() string { return e.text }

// apiFailure reports an error of the Packet API and decides when to try again. The error says whether anything is known: a
// refusal is a fact about the request, everything else is only a failed try, which never counts against a machine that
// works.
func (r *Reconciler) apiFailure(ctx context.Context, s *scope, reason string, err error) (ctrl.Result, error) {
	log := ctrl.LoggerFrom(ctx)
	switch {
	case packet.IsUnauthorized(err), packet.IsForbidden(err):
		r.complain(ctx, s.packetMachine, infrav1.CredentialsAvailableCondition, infrav1.CredentialsRejectedReason,
			s.account.Refused(errors.New(devices.Words(err))))
		if !s.packetMachine.DeletionTimestamp.IsZero() {
			set(s.packetMachine, infrav1.DeviceReadyCondition, false, infrav1.DeviceDeletingReason,
				"the device cannot be deleted: "+s.account.Refused(errors.New(devices.Words(err))))
		}
		return ctrl.Result{RequeueAfter: refusedRetry}, nil

	case !packet.IsTransient(err) && ctx.Err() == nil && isAnswer(err):
		log.Error(err, "The Packet API refuses the request")
		r.complain(ctx, s.packetMachine, infrav1.DeviceReadyCondition, reason, devices.Words(err))
		return ctrl.Result{RequeueAfter: refusedRetry}, nil

	default:
		if !isTrue(s.packetMachine.Status.Initialization.Provisioned) && s.packetMachine.DeletionTimestamp.IsZero() {
			set(s.packetMachine, infrav1.DeviceReadyCondition, false, infrav1.DeviceAPIErrorReason,
				"the Packet API cannot be asked, trying again: "+devices.Words(err))
		}
		if after, ok := packet.RetryAfter(err); ok {
			log.Info("The Packet API asks to wait", "after", after.String(), "error", err.Error())
			return ctrl.Result{RequeueAfter: min(max(after, time.Second), longestRetryAfter)}, nil
		}
		return ctrl.Result{}, err
	}
}

// createFailure reports why there is no device. What the API refused is tried again when waiting can have helped, at
// growing intervals, and otherwise when the machine or the credentials change; and every few minutes all the same, since
// what the API knows can change too. Nothing is terminal.
func (r *Reconciler) createFailure(ctx context.Context, s *scope, err error) (ctrl.Result, error) {
	var (
		wrong   *devices.InvalidError
		invalid *invalidError
	)
	switch refusal := devices.RefusalOf(err); {
	case errors.As(err, &wrong):
		r.complain(ctx, s.packetMachine, infrav1.DeviceReadyCondition, infrav1.DeviceSpecInvalidReason, err.Error())
		return ctrl.Result{}, nil
	case errors.As(err, &invalid):
		r.complain(ctx, s.packetMachine, infrav1.DeviceReadyCondition, invalid.reason, err.Error())
		return ctrl.Result{RequeueAfter: refusedRetry}, nil
	case refusal != devices.None:
		again := r.refusals.add(s, refusal.Waits(), r.Now())
		ctrl.LoggerFrom(ctx).Error(err, "The Packet API refuses to make the device", "reason", string(refusal), "again", again.String())
		r.complain(ctx, s.packetMachine, infrav1.DeviceReadyCondition, string(refusal), devices.Words(err)+": "+refusal.Advice())
		return ctrl.Result{RequeueAfter: again}, nil
	default:
		return r.apiFailure(ctx, s, infrav1.DeviceCreateFailedReason, err)
	}
}

// isAnswer tells an answer of the Packet API from a failure of ours, such as a Secret that could not be read.
func isAnswer(err error) bool {
	var answer *packet.Error
	return errors.As(err, &answer)
}
