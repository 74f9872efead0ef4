package endpoint

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util"
	"sigs.k8s.io/cluster-api/util/annotations"
	"sigs.k8s.io/cluster-api/util/labels"
	"sigs.k8s.io/cluster-api/util/predicates"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/credentials"
)

// DefaultInterval is how often the API server that has the address is asked how it is. It costs the Packet API nothing.
const DefaultInterval = 10 * time.Second

// The reasons of the events that are recorded on PacketClusters.
const (
	EventMoved = "ControlPlaneEndpointMoved"
	EventStuck = "ControlPlaneEndpointStuck"
)

// Accounts finds the Packet account of a cluster.
type Accounts interface {
	AccountOf(ctx context.Context, cluster *infrav1.PacketCluster) (*credentials.Account, error)
}

// Reconciler keeps the elastic IPs of PacketClusters where they should be. Of their status it writes
// elasticIP.assignedTo and nothing else, and nobody else writes that.
type Reconciler struct {
	Client   client.Client
	Accounts Accounts
	Recorder events.EventRecorder
	// WatchFilterValue limits the controller to objects with that value of the watch-filter label.
	WatchFilterValue string
	// Interval is the time between looks; DefaultInterval if zero. A doubtful holder is looked at five times as often.
	Interval time.Duration
	// ListingAge is how old a listing of devices may be as long as all is well.
	ListingAge time.Duration
	// Dial opens the connections by which API servers are asked; nil is the usual way, through a proxy if the environment
	// names one.
	Dial Dial
	// Now is the time; time.Now if nil.
	Now func() time.Time

	authorities authorities
	mutex       sync.Mutex
	failures    map[types.NamespacedName]int
}

// SetupWithManager adds the controller to a manager.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, options controller.Options) error {
	if r.Client == nil || r.Accounts == nil || r.Recorder == nil || r.ListingAge <= 0 {
		return errors.New("the endpoint controller needs a client, accounts, a recorder and a positive age of listings")
	}
	if r.Interval <= 0 {
		r.Interval = DefaultInterval
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	r.failures = map[types.NamespacedName]int{}
	r.authorities = authorities{reader: r.Client, now: r.Now}
	log := ctrl.LoggerFrom(ctx).WithValues("controller", "packetclusterendpoint")
	return ctrl.NewControllerManagedBy(mgr).
		Named("packetclusterendpoint").
		For(&infrav1.PacketCluster{}, builder.WithPredicates(
			predicates.ResourceIsNotExternallyManaged(mgr.GetScheme(), log),
			predicates.ResourceHasFilterLabel(mgr.GetScheme(), log, r.WatchFilterValue))).
		Watches(&infrav1.PacketMachine{}, handler.EnqueueRequestsFromMapFunc(r.clusterOf), builder.WithPredicates(moving())).
		Watches(&clusterv1.Machine{}, handler.EnqueueRequestsFromMapFunc(r.clusterOf), builder.WithPredicates(moving())).
		Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(
			util.ClusterToInfrastructureMapFunc(ctx, infrav1.GroupVersion.WithKind("PacketCluster"), r.Client, &infrav1.PacketCluster{})),
			builder.WithPredicates(predicates.ClusterPausedTransitions(mgr.GetScheme(), log))).
		WithOptions(options).
		Complete(r)
}

// clusterOf finds the PacketCluster of a control plane machine.
func (r *Reconciler) clusterOf(ctx context.Context, object client.Object) []reconcile.Request {
	name := object.GetLabels()[clusterv1.ClusterNameLabel]
	cluster := &clusterv1.Cluster{}
	if err := r.Client.Get(ctx, client.ObjectKey{Namespace: object.GetNamespace(), Name: name}, cluster); err != nil {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{
		Namespace: cluster.Namespace, Name: cluster.Spec.InfrastructureRef.Name,
	}}}
}

// Reconcile has one look at one cluster's address.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	packetCluster := &infrav1.PacketCluster{}
	if err := r.Client.Get(ctx, request.NamespacedName, packetCluster); err != nil {
		r.setFailures(request.NamespacedName, 0)
		r.authorities.forget(request.NamespacedName)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if r.WatchFilterValue != "" && !labels.HasWatchLabel(packetCluster, r.WatchFilterValue) {
		// A machine can be another manager's to watch than its cluster.
		return ctrl.Result{}, nil
	}
	owner, err := util.GetOwnerCluster(ctx, r.Client, packetCluster.ObjectMeta)
	if err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(fmt.Errorf("reading the Cluster: %w", err))
	}
	if owner == nil || annotations.IsPaused(owner, packetCluster) || annotations.IsExternallyManaged(packetCluster) || !kept(packetCluster) {
		// All of it is an event when it changes.
		return ctrl.Result{}, nil
	}
	account, err := r.Accounts.AccountOf(ctx, packetCluster)
	var missing *credentials.MissingError
	if errors.As(err, &missing) {
		// The PacketCluster's own controller says so.
		return ctrl.Result{RequeueAfter: r.Interval}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("finding the credentials: %w", err)
	}
	return r.look(ctx, request.NamespacedName, owner, packetCluster, account)
}

// kept tells whether a cluster's address is for this controller to move.
func kept(cluster *infrav1.PacketCluster) bool {
	return cluster.DeletionTimestamp.IsZero() && cluster.Status.ElasticIP != nil &&
		(cluster.Spec.VIPManager == "" || cluster.Spec.VIPManager == infrav1.VIPManagerCPEM)
}

func (r *Reconciler) look(ctx context.Context, key types.NamespacedName, owner *clusterv1.Cluster, packetCluster *infrav1.PacketCluster, account *credentials.Account) (ctrl.Result, error) {
	c, err := r.describe(ctx, key, owner, packetCluster)
	if err != nil {
		return ctrl.Result{}, err
	}
	k := keeper{api: account.Client, dial: r.Dial}
	began := r.Now()
	if c.members, err = r.members(ctx, owner, account, began.Add(-r.ListingAge)); err != nil {
		return r.failed(ctx, key, err)
	}
	at, problem := k.well(ctx, c)
	if at != nil && problem == nil && at.device.ID == packetCluster.Status.ElasticIP.AssignedTo {
		r.setFailures(key, 0)
		return ctrl.Result{RequeueAfter: r.Interval}, nil
	}
	var silent *silentError
	if errors.As(problem, &silent) && c.failures+1 < failuresToMove {
		ctrl.LoggerFrom(ctx).V(2).Info("The API server that has the elastic IP does not answer", "reason", problem.Error())
		r.setFailures(key, c.failures+1)
		return ctrl.Result{RequeueAfter: r.Interval / 5}, nil
	}
	if c.members, err = r.members(ctx, owner, account, began); err != nil {
		return r.failed(ctx, key, err)
	}
	if len(c.members) == 0 {
		// The first machine claims the address itself.
		return ctrl.Result{}, r.record(ctx, packetCluster, "")
	}
	v, err := k.keep(ctx, c)
	var gone *goneError
	if errors.As(err, &gone) {
		account.ElasticIPs.Forget()
		return ctrl.Result{RequeueAfter: 3 * r.Interval}, r.record(ctx, packetCluster, "")
	}
	if err != nil {
		return r.failed(ctx, key, err)
	}
	return r.settle(ctx, key, packetCluster, c, v)
}

// settle tells what a look came to, and says when to look again.
func (r *Reconciler) settle(ctx context.Context, key types.NamespacedName, packetCluster *infrav1.PacketCluster, c cluster, v verdict) (ctrl.Result, error) {
	again := r.Interval
	switch {
	case v.stuck != nil:
		if c.initialized {
			r.Recorder.Eventf(packetCluster, nil, "Warning", EventStuck, "Move", "%.900s", v.stuck.Error())
		}
		ctrl.LoggerFrom(ctx).V(1).Info("The elastic IP has nowhere to go", "reason", v.stuck.Error())
	case v.moved != nil:
		ctrl.LoggerFrom(ctx).Info("The elastic IP moved", "address", c.address.IP, "from", v.former, "to", v.holder, "reason", v.moved.Error())
		r.Recorder.Eventf(packetCluster, nil, "Normal", EventMoved, "Move", "Elastic IP %s went from device %s to device %s: %.700s",
			c.address.IP, orNone(v.former), v.holder, v.moved.Error())
		r.setFailures(key, 0)
	case v.silent != nil:
		r.setFailures(key, c.failures+1)
		again = r.Interval / 5
	default:
		r.setFailures(key, 0)
	}
	return ctrl.Result{RequeueAfter: again}, r.record(ctx, packetCluster, v.holder)
}

// record writes who has the address.
func (r *Reconciler) record(ctx context.Context, packetCluster *infrav1.PacketCluster, holder string) error {
	if packetCluster.Status.ElasticIP.AssignedTo == holder {
		return nil
	}
	value := "null"
	if holder != "" {
		value = fmt.Sprintf("%q", holder)
	}
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"status":{"elasticIP":{"assignedTo":%s}}}`, value))
	if err := r.Client.Status().Patch(ctx, packetCluster.DeepCopy(), patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("recording the device that has the elastic IP: %w", err)
	}
	return nil
}

func orNone(device string) string {
	if device == "" {
		return "(none)"
	}
	return device
}
