package capacity

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util"
	"sigs.k8s.io/cluster-api/util/annotations"
	"sigs.k8s.io/cluster-api/util/predicates"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/changes"
	"github.com/packetyard/packetyard/internal/capi/writeback"
)

// setupPools adds the controller of pools. It writes two fields of a status whose others belong to package
// packetmachinepool, and no condition: a merge of patches keeps fields of two writers apart, and not the items of a list.
func (r *Reconciler) setupPools(ctx context.Context, mgr ctrl.Manager, options controller.Options) error {
	log := ctrl.LoggerFrom(ctx).WithValues("controller", "packetmachinepoolcapacity")
	poolsOf, err := util.ClusterToTypedObjectsMapper(r.Client, &infrav1.PacketMachinePoolList{}, mgr.GetScheme())
	if err != nil {
		return fmt.Errorf("mapping Clusters to PacketMachinePools: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("packetmachinepoolcapacity").
		For(&infrav1.PacketMachinePool{}, builder.WithPredicates(changes.ByOthers())).
		Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(poolsOf),
			builder.WithPredicates(predicates.ClusterPausedTransitions(mgr.GetScheme(), log))).
		WithEventFilter(predicates.ResourceHasFilterLabel(mgr.GetScheme(), log, r.WatchFilterValue)).
		WithOptions(options).
		Complete(reconcile.Func(r.reconcilePool))
}

func (r *Reconciler) reconcilePool(ctx context.Context, request ctrl.Request) (_ ctrl.Result, reterr error) {
	pool := &infrav1.PacketMachinePool{}
	if err := r.Client.Get(ctx, request.NamespacedName, pool); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !pool.DeletionTimestamp.IsZero() || pool.Labels[clusterv1.ClusterNameLabel] == "" {
		// Cluster API sets the label, and that is an event.
		return ctrl.Result{}, nil
	}
	cluster, err := util.GetClusterFromMetadata(ctx, r.Client, pool.ObjectMeta)
	switch {
	case apierrors.IsNotFound(err):
		return ctrl.Result{}, nil
	case err != nil:
		return ctrl.Result{}, fmt.Errorf("reading the Cluster: %w", err)
	case annotations.IsPaused(cluster, pool):
		return ctrl.Result{}, nil
	}
	packetCluster, err := r.packetCluster(ctx, cluster)
	if err != nil {
		return ctrl.Result{}, err
	}
	writer, err := writeback.New(pool)
	if err != nil {
		return ctrl.Result{}, err
	}
	defer func() { reterr = errors.Join(reterr, writer.Write(ctx, r.Client, pool)) }()
	resources, info, why := r.look(ctx, packetCluster, pool.Spec.Template.Spec, "spec.template.spec.machineType")
	if why == nil {
		pool.Status.Capacity, pool.Status.NodeInfo = resources, info
		return ctrl.Result{}, nil
	}
	if why.nothing {
		pool.Status.Capacity, pool.Status.NodeInfo = nil, infrav1.PacketNodeInfo{}
	}
	return why.result, why.err
}
