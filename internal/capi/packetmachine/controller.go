// Package packetmachine reconciles PacketMachines: each is one device of the Packet API.
package packetmachine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util"
	"sigs.k8s.io/cluster-api/util/paused"
	"sigs.k8s.io/cluster-api/util/predicates"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/changes"
	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/internal/capi/writeback"
)

const (
	// firstRetry and lastRetry bound the time between tries that failed without anybody saying when to come back.
	firstRetry = 200 * time.Millisecond
	lastRetry  = 10 * time.Second
	// refusedRetry is the time between tries of what was refused and costs the Packet API little to be asked again: a person
	// has to change something. What it refuses to make is asked for less often: see refusals.
	refusedRetry = 30 * time.Second
	// missingRetry is the time between looks for credentials that do not exist.
	missingRetry = 5 * time.Second
	// bootstrapWatch is how long after its creation a device that has not become a node is asked often how it does.
	bootstrapWatch = 15 * time.Minute
)

// Accounts finds the Packet account of a cluster, which may be nil.
type Accounts interface {
	AccountOf(ctx context.Context, cluster *infrav1.PacketCluster) (*credentials.Account, error)
}

// Reconciler makes PacketMachines true.
type Reconciler struct {
	Client   client.Client
	Accounts Accounts
	Recorder events.EventRecorder
	// WatchFilterValue limits the controller to objects with that value of the watch-filter label.
	WatchFilterValue string
	// PollInterval is the time between looks at a device that is changing.
	PollInterval time.Duration
	// ResyncInterval is the time between looks at a device that is not. All of them share one listing of the project, so it
	// is also the time between listings of a project in which nothing changes.
	ResyncInterval time.Duration
	// Timeouts are those of machines that bring none of their own; DefaultTimeouts if nil.
	Timeouts *Timeouts
	// Now is the time; time.Now if nil.
	Now func() time.Time

	refusals refusals
	versions writeback.Versions
}

// SetupWithManager adds the controller to a manager.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, options controller.Options) error {
	if r.Client == nil || r.Accounts == nil || r.Recorder == nil || r.PollInterval <= 0 || r.ResyncInterval <= 0 {
		return errors.New("the PacketMachine controller needs a client, accounts, a recorder and positive intervals")
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	if r.Timeouts == nil {
		defaults := DefaultTimeouts()
		r.Timeouts = &defaults
	}
	log := ctrl.LoggerFrom(ctx).WithValues("controller", "packetmachine")
	machinesOf, err := util.ClusterToTypedObjectsMapper(r.Client, &infrav1.PacketMachineList{}, mgr.GetScheme())
	if err != nil {
		return fmt.Errorf("mapping Clusters to PacketMachines: %w", err)
	}
	options.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry)
	return ctrl.NewControllerManagedBy(mgr).
		For(&infrav1.PacketMachine{}, builder.WithPredicates(changes.ByOthers())).
		Watches(&clusterv1.Machine{},
			handler.EnqueueRequestsFromMapFunc(util.MachineToInfrastructureMapFunc(infrav1.GroupVersion.WithKind("PacketMachine"))),
			builder.WithPredicates(predicates.ResourceIsChanged(mgr.GetScheme(), log))).
		Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(machinesOf), builder.WithPredicates(clusterMovedOn())).
		WithEventFilter(predicates.ResourceHasFilterLabel(mgr.GetScheme(), log, r.WatchFilterValue)).
		WithOptions(options).
		Complete(r)
}

// clusterMovedOn passes the changes of a Cluster that machines wait for.
func clusterMovedOn() predicate.Predicate {
	type milestones struct{ paused, infrastructure, controlPlane bool }
	of := func(object client.Object) milestones {
		cluster, ok := object.(*clusterv1.Cluster)
		if !ok {
			return milestones{}
		}
		return milestones{
			paused:         isTrue(cluster.Spec.Paused),
			infrastructure: isTrue(cluster.Status.Initialization.InfrastructureProvisioned),
			controlPlane:   isTrue(cluster.Status.Initialization.ControlPlaneInitialized),
		}
	}
	return predicate.Funcs{
		UpdateFunc:  func(e event.UpdateEvent) bool { return of(e.ObjectOld) != of(e.ObjectNew) },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

func isTrue(b *bool) bool { return b != nil && *b }

// Reconcile makes one PacketMachine true.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (_ ctrl.Result, reterr error) {
	s := &scope{packetMachine: &infrav1.PacketMachine{}}
	if err := r.Client.Get(ctx, request.NamespacedName, s.packetMachine); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if r.versions.Behind(s.packetMachine) {
		return ctrl.Result{RequeueAfter: writeback.CacheRetry}, nil
	}
	found, err := r.findOwners(ctx, s)
	if err != nil || !found {
		return ctrl.Result{}, err
	}
	log := ctrl.LoggerFrom(ctx).WithValues("Cluster", klog.KRef(s.packetMachine.Namespace, s.clusterName))
	if s.machine != nil {
		log = log.WithValues("Machine", klog.KObj(s.machine))
	}
	ctx = ctrl.LoggerInto(ctx, log)

	// The condition's first appearance is no reason to wait for the next event, as long as nothing is paused.
	if isPaused, _, err := paused.EnsurePausedCondition(ctx, r.Client, s.cluster, s.packetMachine); err != nil || isPaused {
		return ctrl.Result{}, err
	}
	if s.writer, err = r.versions.New(s.packetMachine); err != nil {
		return ctrl.Result{}, err
	}
	defer func() {
		summarize(s.packetMachine)
		reterr = errors.Join(reterr, s.writer.Write(ctx, r.Client, s.packetMachine))
	}()
	if !s.packetMachine.DeletionTimestamp.IsZero() {
		return r.delete(ctx, s)
	}
	return r.normal(ctx, s)
}
