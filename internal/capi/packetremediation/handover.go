package packetremediation

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/cluster-api/util/patch"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// giveUp writes down that nothing is left to try, and hands the Machine over.
func (r *Reconciler) giveUp(ctx context.Context, s *scope, reason, message string) (ctrl.Result, error) {
	message += ", so its owner is to replace it"
	if _, err := r.write(ctx, s, 0, true, reason, message); err != nil {
		return ctrl.Result{}, err
	}
	ctrl.LoggerFrom(ctx).Info("Handing the Machine over to its owner", "reason", reason)
	r.event(s, "Warning", reason, fmt.Sprintf("Machine %s: %s", s.machine.Name, message))
	return r.handOver(ctx, s)
}

// handOver tells the owner of the Machine to replace it: the MachineSet, the control plane or the PacketMachinePool does so
// when HealthCheckSucceeded and OwnerRemediated are both False. From then on OwnerRemediated is the owner's to change.
//
// HealthCheckSucceeded is the MachineHealthCheck's. It writes it once, right after it made the remediation, and never tries
// again if that fails, so that a condition that is missing is completed here.
func (r *Reconciler) handOver(ctx context.Context, s *scope) (ctrl.Result, error) {
	if err := r.release(ctx, s); err != nil {
		return ctrl.Result{}, err
	}
	owned := conditions.Get(s.machine, clusterv1.MachineOwnerRemediatedCondition)
	needsOwner := owned == nil || owned.Status == metav1.ConditionTrue
	needsHealth := !conditions.IsFalse(s.machine, clusterv1.MachineHealthCheckSucceededCondition)
	if !needsOwner && !needsHealth {
		return ctrl.Result{}, nil
	}
	helper, err := patch.NewHelper(s.machine, r.Client)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("preparing to change the conditions of Machine %s: %w", s.machine.Name, err)
	}
	owns := patch.WithOwnedConditions{Conditions: []string{clusterv1.MachineOwnerRemediatedCondition}}
	if needsOwner {
		conditions.Set(s.machine, metav1.Condition{
			Type: clusterv1.MachineOwnerRemediatedCondition, Status: metav1.ConditionFalse,
			Reason:  clusterv1.MachineOwnerRemediatedWaitingForRemediationReason,
			Message: fmt.Sprintf("PacketRemediation %s: %s", s.remediation.Name, conditions.GetMessage(s.remediation, infrav1.ReadyCondition)),
		})
	}
	if needsHealth {
		conditions.Set(s.machine, metav1.Condition{
			Type: clusterv1.MachineHealthCheckSucceededCondition, Status: metav1.ConditionFalse,
			Reason:  clusterv1.MachineHealthCheckUnhealthyMachineReason,
			Message: fmt.Sprintf("Health check failed: a MachineHealthCheck made PacketRemediation %s", s.remediation.Name),
		})
		owns.Conditions = append(owns.Conditions, clusterv1.MachineHealthCheckSucceededCondition)
	}
	if err := helper.Patch(ctx, s.machine, owns); err != nil {
		return ctrl.Result{}, fmt.Errorf("handing Machine %s over to its owner: %w", s.machine.Name, err)
	}
	return ctrl.Result{}, nil
}
