package packetremediation

import (
	"context"
	"fmt"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util"
	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

// normal does the next thing. Each way out either writes down where things stand or has an error.
func (r *Reconciler) normal(ctx context.Context, s *scope) (ctrl.Result, error) {
	status := &s.remediation.Status
	switch {
	case s.machine == nil:
		return r.write(ctx, s, 0, true, infrav1.RemediationNoMachineReason, "the Machine is gone")
	case !s.machine.DeletionTimestamp.IsZero() || s.packetMachine != nil && !s.packetMachine.DeletionTimestamp.IsZero():
		return r.write(ctx, s, 0, true, infrav1.RemediationNoMachineReason, "the Machine is being deleted")
	case s.machine.Spec.InfrastructureRef.Kind != infrav1.InfrastructureMachineKind:
		return r.write(ctx, s, 0, false, infrav1.RemediationNoMachineReason, fmt.Sprintf(
			"Machine %s is a %s, and this controller heals machines of kind %s only: let its MachineHealthCheck use another templateRef",
			s.machine.Name, s.machine.Spec.InfrastructureRef.Kind, infrav1.InfrastructureMachineKind))
	case recovered(s):
		return r.write(ctx, s, 0, true, infrav1.RemediationSucceededReason, "the Machine is healthy again")
	}
	c := courseOf(s.remediation)
	p := standing(status)
	if p.exhausted(c) {
		return r.handOver(ctx, s)
	}
	device, done, result, err := r.findDevice(ctx, s)
	if done || err != nil {
		return result, err
	}
	if device == nil {
		position{index: len(c.steps)}.write(status)
		status.Progress = ""
		return r.giveUp(ctx, s, infrav1.RemediationNoDeviceReason, "the Machine has no device that could be healed")
	}
	switch status.Progress {
	case infrav1.RemediationBegun, infrav1.RemediationPoweredOff:
		return r.act(ctx, s, c, device, true)
	case infrav1.RemediationActed:
		if err := r.release(ctx, s); err != nil {
			return ctrl.Result{}, err
		}
		if rest := status.LastTried.Add(c.patience(status.Step)).Sub(r.Now()); rest > 0 {
			return r.waiting(ctx, s, c, rest)
		}
		p = p.next(c)
	}
	return r.begin(ctx, s, c, p, device)
}

// begin begins a try of the step at a position, or of the first after it that can be tried.
func (r *Reconciler) begin(ctx context.Context, s *scope, c course, p position, device *packet.Device) (ctrl.Result, error) {
	status := &s.remediation.Status
	for ; !p.exhausted(c); p = p.skip() {
		step := c.steps[p.index]
		why := impossible(step, device, util.IsControlPlaneMachine(s.machine))
		if why == "" {
			break
		}
		ctrl.LoggerFrom(ctx).Info("Skipping a step", "step", step, "why", why)
		r.event(s, "Warning", "StepSkipped", fmt.Sprintf("%s is not tried: %s", step, why))
	}
	if p.exhausted(c) {
		p.write(status)
		status.Progress = ""
		return r.giveUp(ctx, s, infrav1.RemediationExhaustedReason, "nothing that was tried made the Machine healthy")
	}
	step := c.steps[p.index]
	if changing(device) {
		// Something happens to the device already. It may be what heals it, and has as long as a step has.
		since := s.remediation.CreationTimestamp.Time
		if status.LastTried.After(since) {
			since = status.LastTried.Time
		}
		if r.Now().Before(since.Add(2 * c.patience(step))) {
			return r.write(ctx, s, r.PollInterval, false, infrav1.RemediationWaitingReason, fmt.Sprintf(
				"device %s is %s: %s comes after that", device.ID, device.State, step))
		}
		p.skip().write(status)
		r.event(s, "Warning", "StepSkipped", fmt.Sprintf("%s is not tried: device %s is still %s", step, device.ID, device.State))
		return r.write(ctx, s, time.Millisecond, false, infrav1.RemediationWaitingReason, fmt.Sprintf("device %s is still %s", device.ID, device.State))
	}
	if util.IsControlPlaneMachine(s.machine) {
		r.controlPlanes.Lock()
		why, err := r.endangers(ctx, s)
		if err != nil || why != "" {
			r.controlPlanes.Unlock()
			if err != nil {
				return ctrl.Result{}, err
			}
			if conditions.GetMessage(s.remediation, infrav1.ReadyCondition) != why {
				r.event(s, "Warning", infrav1.RemediationDeferredReason, why)
			}
			return r.write(ctx, s, deferredRetry, false, infrav1.RemediationDeferredReason, why)
		}
		defer r.controlPlanes.Unlock()
	}
	newest, err := newestEvent(ctx, s.account.Client, device.ID)
	if err != nil {
		return r.failed(ctx, s, err)
	}
	p.tries++
	p.write(status)
	status.Step, status.Progress, status.LastTried, status.LastEvent = step, infrav1.RemediationBegun, metav1.NewTime(r.Now()), newest
	if _, err := r.write(ctx, s, 0, false, infrav1.RemediationRunningReason, fmt.Sprintf(
		"%s of device %s, try %d of %d", step, device.ID, p.tries, c.retryLimit)); err != nil {
		return ctrl.Result{}, err
	}
	return r.act(ctx, s, c, device, false)
}

// impossible tells why a step cannot be tried, empty if it can.
func impossible(step infrav1.PacketRemediationStep, device *packet.Device, controlPlane bool) string {
	switch {
	case step == infrav1.RemediationReinstall && controlPlane:
		return "a control plane machine loses its etcd member with its drives, so it has to be replaced"
	case step == infrav1.RemediationReinstall && device.Locked:
		return fmt.Sprintf("device %s is locked in the Packet API, which protects what is on its drives", device.ID)
	case step != infrav1.RemediationReinstall && device.State == packet.StateFailed:
		return fmt.Sprintf("device %s is %s: its installation did not succeed", device.ID, device.State)
	default:
		return ""
	}
}

// changing tells whether a device is between two states that last.
func changing(device *packet.Device) bool {
	switch device.State {
	case packet.StateActive, packet.StateInactive, packet.StateFailed:
		return false
	default:
		return true
	}
}

// recovered tells whether the Machine passed its health check since the remediation began. The MachineHealthCheck deletes the
// remediation then, shortly before or after it says so. What the condition said earlier is about an earlier illness.
func recovered(s *scope) bool {
	if !conditions.IsTrue(s.machine, clusterv1.MachineHealthCheckSucceededCondition) {
		return false
	}
	since := conditions.GetLastTransitionTime(s.machine, clusterv1.MachineHealthCheckSucceededCondition)
	return since != nil && since.After(s.remediation.CreationTimestamp.Time)
}

func (r *Reconciler) waiting(ctx context.Context, s *scope, c course, rest time.Duration) (ctrl.Result, error) {
	status := &s.remediation.Status
	return r.write(ctx, s, rest, false, infrav1.RemediationWaitingReason, fmt.Sprintf(
		"%s was tried %d of %d times: waiting %s for the Machine to become healthy",
		status.Step, standing(status).tries, c.retryLimit, c.patience(status.Step)))
}

// write sets Ready, writes the status if it changed, and asks to come back after a while, unless that is 0. The write
// fails as a conflict if there is a newer version of the object than the one that was read.
func (r *Reconciler) write(ctx context.Context, s *scope, again time.Duration, ok bool, reason, message string) (ctrl.Result, error) {
	status := metav1.ConditionFalse
	if ok {
		status = metav1.ConditionTrue
	}
	conditions.Set(s.remediation, metav1.Condition{Type: infrav1.ReadyCondition, Status: status, Reason: reason, Message: message})
	if !apiequality.Semantic.DeepEqual(s.stored, &s.remediation.Status) {
		if err := r.Client.Status().Update(ctx, s.remediation); err != nil {
			return ctrl.Result{}, fmt.Errorf("writing down how far the remediation is: %w", err)
		}
		s.stored = s.remediation.Status.DeepCopy()
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

// event tells of the remediation, and of the Machine that it is about.
func (r *Reconciler) event(s *scope, kind, reason, text string) {
	r.Recorder.Eventf(s.remediation, s.machine, kind, reason, "Remediate", "%s", note(text))
}

// note shortens a text to what the API server takes as the note of an event.
func note(text string) string {
	const longest = 900
	if letters := []rune(text); len(letters) > longest/3 && len(text) > longest {
		return string(letters[:longest/3]) + "…"
	}
	return text
}
