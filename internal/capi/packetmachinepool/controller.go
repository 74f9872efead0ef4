// Package packetmachinepool reconciles PacketMachinePools: each keeps as many PacketMachines as its MachinePool asks for.
//
// Cluster API makes a Machine for each of them (MachinePool Machines, contract infra-machinepool), and the PacketMachine
// controller rents its device. So this controller never speaks to the Packet API: it makes PacketMachines and deletes
// Machines, and everything that one can do with a Machine can be done with one of a pool: draining, health checks,
// remediation, looking at its conditions.
package packetmachinepool

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util"
	"sigs.k8s.io/cluster-api/util/finalizers"
	"sigs.k8s.io/cluster-api/util/paused"
	"sigs.k8s.io/cluster-api/util/predicates"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/changes"
	"github.com/packetyard/packetyard/internal/capi/writeback"
)

const (
	// firstRetry and lastRetry bound the time between tries that failed.
	firstRetry = 200 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// Reconciler makes PacketMachinePools true.
type Reconciler struct {
	// Client reads from caches and writes.
	Client client.Client
	// Reader reads live. Machines are counted with it before any are made or deleted: a cache that does not have the last
	// machine yet would have it made twice.
	Reader   client.Reader
	Recorder events.EventRecorder
	// WatchFilterValue limits the controller to objects with that value of the watch-filter label.
	WatchFilterValue string
	// Now is the time; time.Now if nil.
	Now func() time.Time

	versions writeback.Versions
}

// SetupWithManager adds the controller to a manager.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, options controller.Options) error {
	if r.Client == nil || r.Reader == nil || r.Recorder == nil {
		return errors.New("the PacketMachinePool controller needs a client, a live reader and a recorder")
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	log := ctrl.LoggerFrom(ctx).WithValues("controller", "packetmachinepool")
	poolsOf, err := util.ClusterToTypedObjectsMapper(r.Client, &infrav1.PacketMachinePoolList{}, mgr.GetScheme())
	if err != nil {
		return fmt.Errorf("mapping Clusters to PacketMachinePools: %w", err)
	}
	options.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry)
	return ctrl.NewControllerManagedBy(mgr).
		For(&infrav1.PacketMachinePool{}, builder.WithPredicates(changes.ByOthers())).
		Watches(&clusterv1.MachinePool{}, handler.EnqueueRequestsFromMapFunc(
			util.MachinePoolToInfrastructureMapFunc(ctx, infrav1.GroupVersion.WithKind("PacketMachinePool")))).
		Watches(&infrav1.PacketMachine{}, handler.EnqueueRequestsFromMapFunc(poolOfPacketMachine)).
		Watches(&clusterv1.Machine{}, handler.EnqueueRequestsFromMapFunc(r.poolOfMachine)).
		Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(poolsOf), builder.WithPredicates(clusterMovedOn())).
		WithEventFilter(predicates.ResourceHasFilterLabel(mgr.GetScheme(), log, r.WatchFilterValue)).
		WithOptions(options).
		Complete(r)
}

// scope is everything that one reconcile is about.
type scope struct {
	pool *infrav1.PacketMachinePool
	// machinePool and cluster can be nil while the pool is being deleted.
	machinePool *clusterv1.MachinePool
	cluster     *clusterv1.Cluster
	clusterName string
	writer      *writeback.Writer
}

// Reconcile makes one PacketMachinePool true.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (_ ctrl.Result, reterr error) {
	s := &scope{pool: &infrav1.PacketMachinePool{}}
	if err := r.Client.Get(ctx, request.NamespacedName, s.pool); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if r.versions.Behind(s.pool) {
		return ctrl.Result{RequeueAfter: writeback.CacheRetry}, nil
	}
	found, err := r.findOwners(ctx, s)
	if err != nil || !found {
		return ctrl.Result{}, err
	}
	log := ctrl.LoggerFrom(ctx).WithValues("Cluster", klog.KRef(s.pool.Namespace, s.clusterName))
	if s.machinePool != nil {
		log = log.WithValues("MachinePool", klog.KObj(s.machinePool))
	}
	ctx = ctrl.LoggerInto(ctx, log)

	// The condition's first appearance is no reason to wait for the next event, as long as nothing is paused.
	if isPaused, _, err := paused.EnsurePausedCondition(ctx, r.Client, s.cluster, s.pool); err != nil || isPaused {
		return ctrl.Result{}, err
	}
	deleting := !s.pool.DeletionTimestamp.IsZero()
	if !deleting {
		if _, err := finalizers.EnsureFinalizer(ctx, r.Client, s.pool, infrav1.MachinePoolFinalizer); err != nil {
			return ctrl.Result{}, fmt.Errorf("adding the finalizer: %w", err)
		}
	}
	if s.writer, err = r.versions.New(s.pool); err != nil {
		return ctrl.Result{}, err
	}
	defer func() {
		summarize(s.pool)
		reterr = errors.Join(reterr, s.writer.Write(ctx, r.Client, s.pool))
	}()
	if deleting {
		return r.delete(ctx, s)
	}
	return r.normal(ctx, s)
}

// findOwners fills in the objects around the pool. It returns false if there is nothing to do without them.
func (r *Reconciler) findOwners(ctx context.Context, s *scope) (bool, error) {
	deleting := !s.pool.DeletionTimestamp.IsZero()
	var err error
	if s.machinePool, err = util.GetOwnerMachinePool(ctx, r.Client, s.pool.ObjectMeta); client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading the MachinePool: %w", err)
	}
	s.clusterName = s.pool.Labels[clusterv1.ClusterNameLabel]
	if s.machinePool != nil {
		s.clusterName = s.machinePool.Spec.ClusterName
	}
	if s.clusterName == "" || s.machinePool == nil {
		// Cluster API sets the owner and the label, and that is an event.
		return deleting, nil
	}
	cluster := &clusterv1.Cluster{}
	key := client.ObjectKey{Namespace: s.pool.Namespace, Name: s.clusterName}
	switch err := r.Client.Get(ctx, key, cluster); {
	case apierrors.IsNotFound(err):
		return deleting, nil
	case err != nil:
		return false, fmt.Errorf("reading Cluster %s: %w", key, err)
	}
	s.cluster = cluster
	return true, nil
}
