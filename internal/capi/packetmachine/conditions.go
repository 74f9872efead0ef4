package packetmachine

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

func set(machine *infrav1.PacketMachine, kind string, ok bool, reason, message string) {
	status := metav1.ConditionFalse
	if ok {
		status = metav1.ConditionTrue
	}
	conditions.Set(machine, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message})
}

// complain makes a condition false, and tells of it in an event and the log when it was not false for that reason before:
// once per change, however often it is looked at.
func (r *Reconciler) complain(ctx context.Context, machine *infrav1.PacketMachine, kind, reason, message string) {
	known := conditions.IsFalse(machine, kind) && conditions.GetReason(machine, kind) == reason
	set(machine, kind, false, reason, message)
	if known {
		return
	}
	ctrl.LoggerFrom(ctx).Info("The machine has a problem", "condition", kind, "reason", reason, "message", message)
	r.Recorder.Eventf(machine, nil, "Warning", reason, "Reconcile", "%s", note(message))
}

// summarize sets Ready from the other conditions: it is the first of them that is a problem, with its own reason and
// message, since Cluster API shows this one condition to the user of a Machine.
func summarize(machine *infrav1.PacketMachine) {
	for _, kind := range []string{
		infrav1.CredentialsAvailableCondition,
		infrav1.DeviceReadyCondition,
		infrav1.NetworkReadyCondition,
		infrav1.ElasticIPAssignedCondition,
		infrav1.BGPReadyCondition,
		infrav1.BootstrapSucceededCondition,
	} {
		condition := conditions.Get(machine, kind)
		if condition == nil || condition.Status != metav1.ConditionFalse {
			continue
		}
		switch {
		case kind == infrav1.CredentialsAvailableCondition && isTrue(machine.Status.Initialization.Provisioned) && machine.DeletionTimestamp.IsZero():
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

// note shortens a text to what the API server takes as the note of an event.
func note(text string) string {
	const longest = 1000
	if len(text) <= longest {
		return text
	}
	return "…" + string([]rune(text)[len([]rune(text))-longest/2:])
}
