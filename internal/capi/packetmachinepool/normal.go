package packetmachinepool

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/intstr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/annotations"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

func (r *Reconciler) normal(ctx context.Context, s *scope) (ctrl.Result, error) {
	s.pool.Status.InfrastructureMachineKind = infrav1.InfrastructureMachineKind
	s.pool.Spec.ProviderID = fmt.Sprintf("packet-pool://%s/%s", s.pool.Namespace, s.pool.Name)
	found, orphans, err := members(ctx, r.Client, s)
	if err != nil {
		return ctrl.Result{}, err
	}
	wanted, waiting := newBlueprint(s), waitingFor(s)
	minReady := time.Duration(pointed(s.machinePool.Spec.Template.Spec.MinReadySeconds, 0)) * time.Second

	described, next := r.traitsOf(found, wanted, minReady)
	g := goalOf(s, waiting != "")
	create, remove := plan(g, described)
	if waiting != "" {
		create = 0
	}
	if create > 0 || len(remove) > 0 || len(orphans) > 0 {
		// Before anything is made or deleted, everything is counted as it really is.
		if found, orphans, err = members(ctx, r.Reader, s); err != nil {
			return ctrl.Result{}, err
		}
		described, next = r.traitsOf(found, wanted, minReady)
		if create, remove = plan(g, described); waiting != "" {
			create = 0
		}
		if err := r.act(ctx, s, wanted, found, described, create, remove); err != nil {
			return ctrl.Result{}, err
		}
		if err := r.deleteOrphans(ctx, s, orphans); err != nil {
			return ctrl.Result{}, err
		}
	}
	if err := r.tend(ctx, s, wanted, found, waiting); err != nil {
		return ctrl.Result{}, err
	}
	observe(s, g, found, described, observation{waiting: waiting, creating: create, removing: len(remove)})
	if err := r.reportReplicas(ctx, s, g, described); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: next}, nil
}

// waitingFor names the reason for which no machine can be made, empty if there is none.
func waitingFor(s *scope) string {
	bootstrap := s.machinePool.Spec.Template.Spec.Bootstrap
	switch {
	case !isTrue(s.cluster.Status.Initialization.InfrastructureProvisioned):
		return infrav1.MachinesWaitingForClusterInfrastructureReason
	case bootstrap.DataSecretName == nil || *bootstrap.DataSecretName == "":
		return infrav1.MachinesWaitingForBootstrapDataReason
	case bootstrap.ConfigRef.IsDefined() && s.machinePool.Status.ObservedGeneration != s.machinePool.Generation:
		// The reference may have changed, and the name of the Secret may still be that of the former one: machines made now
		// would be replaced at once.
		return infrav1.MachinesWaitingForBootstrapDataReason
	default:
		return ""
	}
}

// goalOf reads from the objects what the pool should come to. While it is waiting for something that machines are made
// from, it is not known which of them are outdated, so none is replaced.
func goalOf(s *scope, waiting bool) goal {
	strategy := s.pool.Spec.Strategy
	g := goal{
		replicas: int(pointed(s.machinePool.Spec.Replicas, 1)),
		policy:   strategy.DeletePolicy,
		onDelete: strategy.Type == infrav1.PoolStrategyOnDelete || waiting,
		external: annotations.ReplicasManagedByExternalAutoscaler(s.machinePool) && isTrue(s.pool.Status.Initialization.Provisioned),
	}
	g.surge = scaled(strategy.RollingUpdate.MaxSurge, 1, g.replicas, true)
	g.unavailable = min(scaled(strategy.RollingUpdate.MaxUnavailable, 0, g.replicas, false), g.replicas)
	if g.surge == 0 && g.unavailable == 0 {
		// Percentages of few machines can come to nothing, and then nothing would ever be replaced.
		g.unavailable = 1
	}
	return g
}

// scaled is a number, or a percentage of the replicas. Admission made sure that it is one of them.
func scaled(value *intstr.IntOrString, byDefault, replicas int, up bool) int {
	if value == nil {
		return byDefault
	}
	number, err := intstr.GetScaledValueFromIntOrPercent(value, replicas, up)
	if err != nil {
		return byDefault
	}
	return number
}

func pointed(value *int32, byDefault int32) int32 {
	if value == nil {
		return byDefault
	}
	return *value
}

// act follows a plan.
func (r *Reconciler) act(ctx context.Context, s *scope, wanted *blueprint, found []member, described []traits, create int, remove []traits) error {
	byName := map[string]member{}
	for _, m := range found {
		byName[m.packetMachine.Name] = m
	}
	for _, gone := range remove {
		why := "The pool has too many machines"
		switch m := byName[gone.name]; {
		case m.givenUp():
			why = "It is not healthy"
		case m.lost():
			why = "Its device is gone"
		case gone.outdated:
			why = "It is not made from the present template, bootstrap data and version"
		}
		if err := r.remove(ctx, s, byName[gone.name], why); err != nil {
			return err
		}
	}
	for _, domain := range spread(s.machinePool.Spec.FailureDomains, described, create) {
		machine := wanted.machine(s, domain)
		if err := r.Client.Create(ctx, machine); err != nil {
			return fmt.Errorf("making a machine of the pool: %w", err)
		}
		ctrl.LoggerFrom(ctx).Info("Made a machine", "PacketMachine", machine.Name, "failureDomain", domain)
		r.Recorder.Eventf(s.pool, nil, "Normal", "MachineCreated", "ScaleUp", "Made machine %s", machine.Name)
	}
	return nil
}

// remove deletes the Machine, which Cluster API drains before it deletes the PacketMachine. Only a PacketMachine that has no
// Machine yet is deleted itself.
func (r *Reconciler) remove(ctx context.Context, s *scope, m member, why string) error {
	var object client.Object = m.packetMachine
	if m.machine != nil {
		object = m.machine
	}
	if !object.GetDeletionTimestamp().IsZero() {
		return nil
	}
	uid := object.GetUID()
	// One of the same name that came since is another machine.
	err := r.Client.Delete(ctx, object, client.Preconditions{UID: &uid})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting machine %s of the pool: %w", m.packetMachine.Name, err)
	}
	ctrl.LoggerFrom(ctx).Info("Deleting a machine", "PacketMachine", m.packetMachine.Name, "why", why)
	r.Recorder.Eventf(s.pool, nil, "Normal", "MachineDeleted", "ScaleDown", "Deleting machine %s: %s", m.packetMachine.Name, why)
	return nil
}

// deleteOrphans deletes Machines whose PacketMachine is gone without them. Cluster API makes them where a PacketMachine was
// deleted before it had a Machine, and would keep them for ever.
func (r *Reconciler) deleteOrphans(ctx context.Context, s *scope, orphans []*clusterv1.Machine) error {
	for _, machine := range orphans {
		key := client.ObjectKey{Namespace: machine.Namespace, Name: machine.Spec.InfrastructureRef.Name}
		if err := r.Reader.Get(ctx, key, &infrav1.PacketMachine{}); !apierrors.IsNotFound(err) {
			if err != nil {
				return fmt.Errorf("looking for PacketMachine %s: %w", key, err)
			}
			continue
		}
		if !machine.DeletionTimestamp.IsZero() {
			continue
		}
		uid := machine.UID
		if err := r.Client.Delete(ctx, machine, client.Preconditions{UID: &uid}); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("deleting Machine %s, which has no PacketMachine: %w", machine.Name, err)
		}
		ctrl.LoggerFrom(ctx).Info("Deleting a Machine that has no PacketMachine", "Machine", machine.Name)
		r.Recorder.Eventf(s.pool, nil, "Normal", "MachineDeleted", "Observe", "Deleting Machine %s, which has no PacketMachine", machine.Name)
	}
	return nil
}

// tend makes the changes to machines that need no other device.
func (r *Reconciler) tend(ctx context.Context, s *scope, wanted *blueprint, found []member, waiting string) error {
	if waiting != "" {
		return nil
	}
	for _, m := range found {
		before := m.packetMachine.DeepCopy()
		if m.deleting() || !wanted.tend(m.packetMachine) {
			continue
		}
		if err := r.Client.Patch(ctx, m.packetMachine, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
			return fmt.Errorf("changing machine %s of the pool: %w", m.packetMachine.Name, err)
		}
	}
	return nil
}

// reportReplicas writes the number of machines into the MachinePool where somebody else decides on it: the annotation
// cluster.x-k8s.io/replicas-managed-by means that the number follows what is observed, and not the other way round.
func (r *Reconciler) reportReplicas(ctx context.Context, s *scope, g goal, described []traits) error {
	if !g.external {
		return nil
	}
	observed := int32(0)
	for _, m := range described {
		if !m.deleting && !m.broken {
			observed++
		}
	}
	if pointed(s.machinePool.Spec.Replicas, 1) == observed {
		return nil
	}
	changed := s.machinePool.DeepCopy()
	changed.Spec.Replicas = &observed
	if err := r.Client.Patch(ctx, changed, client.MergeFrom(s.machinePool)); err != nil {
		return fmt.Errorf("writing %d replicas into MachinePool %s: %w", observed, s.machinePool.Name, err)
	}
	return nil
}
