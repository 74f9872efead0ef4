package packetmachine

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

func set(machine *infrav1.PacketMachine, kind string, ok bool, reason, message string) {
	status := metav1.ConditionFalse
	if ok {
		status = metav1.ConditionTrue
	}
	conditions.Set(machine, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message})
}

// summarize sets Ready from the other conditions: it is the first of them that is a problem, with its own reason and
// message, since Cluster API shows this one condition to the user of a Machine.
func summarize(machine *infrav1.PacketMachine) {
	for _, kind := range []string{
		infrav1.CredentialsAvailableCondition,
		infrav1.DeviceReadyCondition,
		infrav1.ElasticIPAssignedCondition,
		infrav1.BootstrapSucceededCondition,
	} {
		condition := conditions.Get(machine, kind)
		if condition == nil || condition.Status != metav1.ConditionFalse {
			continue
		}
		switch {
		case kind == infrav1.CredentialsAvailableCondition && isTrue(machine.Status.Initialization.Provisioned):
			// A machine that works does not stop working because its owner cannot ask about it.
			continue
		case kind == infrav1.ElasticIPAssignedCondition && condition.Reason != infrav1.ElasticIPAssignmentFailedReason:
			continue
		}
		set(machine, infrav1.ReadyCondition, false, condition.Reason, condition.Message)
		return
	}
	if conditions.IsTrue(machine, infrav1.DeviceReadyCondition) {
		set(machine, infrav1.ReadyCondition, true, infrav1.DeviceActiveReason, "")
	}
}

// apiFailure reports an error of the Packet API and decides when to try again. The error says whether anything is known: a
// refusal is a fact about the request, everything else is only a failed try, which never counts against a machine that
// works.
func (r *Reconciler) apiFailure(ctx context.Context, s *scope, reason string, err error) (ctrl.Result, error) {
	log := ctrl.LoggerFrom(ctx)
	switch {
	case packet.IsUnauthorized(err), packet.IsForbidden(err):
		set(s.packetMachine, infrav1.CredentialsAvailableCondition, false, infrav1.CredentialsRejectedReason,
			fmt.Sprintf("the Packet API refuses the token: %v", err))
		log.Error(err, "The Packet API refuses the token")
		return ctrl.Result{RequeueAfter: refusedRetry}, nil

	case !packet.IsTransient(err) && ctx.Err() == nil && isAnswer(err):
		set(s.packetMachine, infrav1.DeviceReadyCondition, false, reason, err.Error())
		r.Recorder.Eventf(s.packetMachine, nil, "Warning", reason, "Reconcile", "%s", note(err.Error()))
		log.Error(err, "The Packet API refuses the request")
		return ctrl.Result{RequeueAfter: refusedRetry}, nil

	default:
		if !isTrue(s.packetMachine.Status.Initialization.Provisioned) && s.packetMachine.DeletionTimestamp.IsZero() {
			set(s.packetMachine, infrav1.DeviceReadyCondition, false, infrav1.DeviceAPIErrorReason,
				fmt.Sprintf("the Packet API cannot be asked, trying again: %v", err))
		}
		if after, ok := packet.RetryAfter(err); ok {
			log.Info("The Packet API asks to wait", "after", after.String(), "error", err.Error())
			return ctrl.Result{RequeueAfter: min(max(after, time.Second), r.ResyncInterval)}, nil
		}
		return ctrl.Result{}, err
	}
}

// note shortens a text to what the API server takes as the note of an event.
func note(text string) string {
	const longest = 1000
	if len(text) <= longest {
		return text
	}
	return "…" + string([]rune(text)[len([]rune(text))-longest/2:])
}
