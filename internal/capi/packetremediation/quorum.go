package packetremediation

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// endangers tells why the control plane machine must be left alone for now, empty if it need not be: another one of the
// cluster is being healed or deleted, or etcd would lose its quorum without this one.
//
// The caller holds the lock until its decision is on record, because two that decide at the same time would not see each other.
func (r *Reconciler) endangers(ctx context.Context, s *scope) (string, error) {
	inCluster := []client.ListOption{client.InNamespace(s.machine.Namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: s.machine.Spec.ClusterName}}
	machines, remediations := &clusterv1.MachineList{}, &infrav1.PacketRemediationList{}
	if err := r.Reader.List(ctx, machines, append(inCluster, client.HasLabels{clusterv1.MachineControlPlaneLabel})...); err != nil {
		return "", fmt.Errorf("listing the control plane machines: %w", err)
	}
	if err := r.Reader.List(ctx, remediations, client.InNamespace(s.machine.Namespace)); err != nil {
		return "", fmt.Errorf("listing the remediations: %w", err)
	}
	acting := map[string]bool{}
	for n := range remediations.Items {
		other := &remediations.Items[n]
		acting[other.Name] = other.Status.Progress != "" && !standing(&other.Status).exhausted(courseOf(other))
	}
	members, others := len(machines.Items), 0
	for n := range machines.Items {
		other := &machines.Items[n]
		switch {
		case other.Name == s.machine.Name:
		case acting[other.Name]:
			return fmt.Sprintf("control plane machine %s is being healed, and only one may be at a time", other.Name), nil
		case !other.DeletionTimestamp.IsZero():
			return fmt.Sprintf("control plane machine %s is being deleted, and only one may go at a time", other.Name), nil
		case votes(other):
			others++
		}
	}
	quorum := members/2 + 1
	if members > 1 && others < quorum && mayVote(s.machine) {
		return fmt.Sprintf("etcd has %d members and needs %d, and besides this one only %d are known to be healthy", members, quorum, others), nil
	}
	return "", nil
}

// votes tells whether the etcd member of a machine is known to work.
func votes(machine *clusterv1.Machine) bool {
	if conditions.Get(machine, controlplanev1.KubeadmControlPlaneMachineEtcdMemberHealthyCondition) != nil {
		return conditions.IsTrue(machine, controlplanev1.KubeadmControlPlaneMachineEtcdMemberHealthyCondition)
	}
	// Another control plane provider, or single Machines: a node that works is the best sign there is.
	return conditions.IsTrue(machine, clusterv1.MachineNodeReadyCondition) &&
		!conditions.IsFalse(machine, clusterv1.MachineHealthCheckSucceededCondition)
}

// mayVote tells whether the etcd member of an unhealthy machine may work nevertheless: a kubelet can be dead on a machine
// whose etcd lives. A member that is known to be dead has no vote that could be lost.
func mayVote(machine *clusterv1.Machine) bool {
	if conditions.Get(machine, controlplanev1.KubeadmControlPlaneMachineEtcdMemberHealthyCondition) != nil {
		return !conditions.IsFalse(machine, controlplanev1.KubeadmControlPlaneMachineEtcdMemberHealthyCondition)
	}
	return machine.Status.NodeRef.IsDefined()
}
