package packetmachinepool

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// poolOfPacketMachine maps a PacketMachine to the pool that it belongs to.
func poolOfPacketMachine(_ context.Context, object client.Object) []ctrl.Request {
	if owner := poolReference(object); owner != nil {
		return []ctrl.Request{{NamespacedName: client.ObjectKey{Namespace: object.GetNamespace(), Name: owner.Name}}}
	}
	return nil
}

// poolReference is the owner reference of a PacketMachine to its pool, nil if it is not of a pool.
func poolReference(object client.Object) *metav1.OwnerReference {
	for _, owner := range object.GetOwnerReferences() {
		if owner.Kind == "PacketMachinePool" && owner.APIVersion == infrav1.GroupVersion.String() {
			return &owner
		}
	}
	return nil
}

// poolOfMachine maps a Machine of a MachinePool to the PacketMachinePool of that.
func (r *Reconciler) poolOfMachine(ctx context.Context, object client.Object) []ctrl.Request {
	owner := metav1.GetControllerOf(object)
	if owner == nil || owner.Kind != "MachinePool" {
		return nil
	}
	machinePool := &clusterv1.MachinePool{}
	if err := r.Client.Get(ctx, client.ObjectKey{Namespace: object.GetNamespace(), Name: owner.Name}, machinePool); err != nil {
		// A MachinePool that is gone took its PacketMachinePool along.
		return nil
	}
	ref := machinePool.Spec.Template.Spec.InfrastructureRef
	if ref.Kind != "PacketMachinePool" || ref.APIGroup != infrav1.GroupVersion.Group {
		return nil
	}
	return []ctrl.Request{{NamespacedName: client.ObjectKey{Namespace: object.GetNamespace(), Name: ref.Name}}}
}

// clusterMovedOn passes the changes of a Cluster that pools wait for.
func clusterMovedOn() predicate.Predicate {
	type milestones struct{ paused, infrastructure bool }
	of := func(object client.Object) milestones {
		cluster, ok := object.(*clusterv1.Cluster)
		if !ok {
			return milestones{}
		}
		return milestones{paused: isTrue(cluster.Spec.Paused), infrastructure: isTrue(cluster.Status.Initialization.InfrastructureProvisioned)}
	}
	return predicate.Funcs{
		UpdateFunc:  func(e event.UpdateEvent) bool { return of(e.ObjectOld) != of(e.ObjectNew) },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

func isTrue(b *bool) bool { return b != nil && *b }
