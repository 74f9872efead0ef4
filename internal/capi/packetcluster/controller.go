// Package packetcluster reconciles PacketClusters: the address of a cluster's API server, and what the cluster needs to
// know of Packet.
package packetcluster

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
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util"
	"sigs.k8s.io/cluster-api/util/annotations"
	"sigs.k8s.io/cluster-api/util/paused"
	"sigs.k8s.io/cluster-api/util/predicates"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/changes"
	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/internal/capi/elasticips"
	"github.com/packetyard/packetyard/internal/capi/writeback"
)

const (
	// firstRetry and lastRetry bound the time between tries that failed without anybody saying when to come back.
	firstRetry = 200 * time.Millisecond
	lastRetry  = 10 * time.Second
	// refusedRetry is the time between tries of what the Packet API refused.
	refusedRetry = 30 * time.Second
	// missingRetry is the time between looks for credentials that do not exist.
	missingRetry = 5 * time.Second
	// apiServerPort is where API servers listen unless the user says otherwise.
	apiServerPort = 6443
)

// Accounts finds the Packet account of a cluster.
type Accounts interface {
	AccountOf(ctx context.Context, cluster *infrav1.PacketCluster) (*credentials.Account, error)
	// SharedSecret is the Secret of clusters that name none of their own.
	SharedSecret() client.ObjectKey
	// Forget has a Secret read anew.
	Forget(secret client.ObjectKey)
}

// Reconciler makes PacketClusters true.
type Reconciler struct {
	Client   client.Client
	Accounts Accounts
	Recorder events.EventRecorder
	// Secrets tells of changes of credentials: see credentials.NewSecretCache. If nil, they are noticed within seconds.
	Secrets cache.Cache
	// WatchFilterValue limits the controller to objects with that value of the watch-filter label.
	WatchFilterValue string
	// PollInterval is the time between looks at something that is changing.
	PollInterval time.Duration

	versions writeback.Versions
}

// SetupWithManager adds the controller to a manager.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, options controller.Options) error {
	if r.Client == nil || r.Accounts == nil || r.Recorder == nil || r.PollInterval <= 0 {
		return errors.New("the PacketCluster controller needs a client, accounts, a recorder and a positive interval")
	}
	log := ctrl.LoggerFrom(ctx).WithValues("controller", "packetcluster")
	infrastructureOf := util.ClusterToInfrastructureMapFunc(ctx, infrav1.GroupVersion.WithKind("PacketCluster"), r.Client, &infrav1.PacketCluster{})
	options.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry)
	controller := ctrl.NewControllerManagedBy(mgr).
		For(&infrav1.PacketCluster{}, builder.WithPredicates(
			predicate.Or(changes.ByOthers(), assignmentChanged()), predicates.ResourceIsNotExternallyManaged(mgr.GetScheme(), log))).
		Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(infrastructureOf),
			builder.WithPredicates(predicates.ClusterPausedTransitions(mgr.GetScheme(), log))).
		WithEventFilter(predicates.ResourceHasFilterLabel(mgr.GetScheme(), log, r.WatchFilterValue)).
		WithOptions(options)
	if r.Secrets != nil {
		controller.WatchesRawSource(credentials.Changes(r.Secrets, r.usersOf))
	}
	return controller.Complete(r)
}

// assignmentChanged passes what package endpoint writes into the status.
func assignmentChanged() predicate.Predicate {
	of := func(object client.Object) string {
		if cluster, ok := object.(*infrav1.PacketCluster); ok && cluster.Status.ElasticIP != nil {
			return cluster.Status.ElasticIP.AssignedTo
		}
		return ""
	}
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		UpdateFunc:  func(e event.UpdateEvent) bool { return of(e.ObjectOld) != of(e.ObjectNew) },
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

// usersOf finds the PacketClusters that a change of a Secret concerns.
func (r *Reconciler) usersOf(ctx context.Context, secret client.ObjectKey) []reconcile.Request {
	r.Accounts.Forget(secret)
	shared := secret == r.Accounts.SharedSecret()
	var where []client.ListOption
	if !shared {
		where = append(where, client.InNamespace(secret.Namespace))
	}
	if r.WatchFilterValue != "" {
		where = append(where, client.MatchingLabels{clusterv1.WatchLabel: r.WatchFilterValue})
	}
	clusters := &infrav1.PacketClusterList{}
	if err := r.Client.List(ctx, clusters, where...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Looking for the clusters that use a Secret", "secret", secret.String())
		return nil
	}
	var requests []reconcile.Request
	for n := range clusters.Items {
		cluster := &clusters.Items[n]
		own, names := credentials.SecretOf(cluster)
		if names && own == secret || shared {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(cluster)})
		}
	}
	return requests
}

// scope is everything that one reconcile is about.
type scope struct {
	packetCluster *infrav1.PacketCluster
	// cluster can be nil while the PacketCluster is being deleted.
	cluster     *clusterv1.Cluster
	clusterName string
	account     *credentials.Account
	writer      *writeback.Writer
}

func (s *scope) owner() elasticips.Owner {
	return elasticips.Owner{Namespace: s.packetCluster.Namespace, Cluster: s.clusterName}
}

// Reconcile makes one PacketCluster true.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (_ ctrl.Result, reterr error) {
	s := &scope{packetCluster: &infrav1.PacketCluster{}}
	if err := r.Client.Get(ctx, request.NamespacedName, s.packetCluster); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if annotations.IsExternallyManaged(s.packetCluster) {
		return ctrl.Result{}, nil
	}
	if r.versions.Behind(s.packetCluster) {
		return ctrl.Result{RequeueAfter: writeback.CacheRetry}, nil
	}
	deleting := !s.packetCluster.DeletionTimestamp.IsZero()
	var err error
	if s.cluster, err = util.GetOwnerCluster(ctx, r.Client, s.packetCluster.ObjectMeta); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("reading the Cluster: %w", err)
	}
	s.clusterName = s.packetCluster.Labels[clusterv1.ClusterNameLabel]
	if s.cluster != nil {
		s.clusterName = s.cluster.Name
	}
	if s.clusterName == "" || (s.cluster == nil && !deleting) {
		// Cluster API sets the owner, and that is an event.
		return ctrl.Result{}, nil
	}
	ctx = ctrl.LoggerInto(ctx, ctrl.LoggerFrom(ctx).WithValues("Cluster", klog.KRef(s.packetCluster.Namespace, s.clusterName)))

	// The condition's first appearance is no reason to wait for the next event, as long as nothing is paused.
	if isPaused, _, err := paused.EnsurePausedCondition(ctx, r.Client, s.cluster, s.packetCluster); err != nil || isPaused {
		return ctrl.Result{}, err
	}
	if s.writer, err = r.versions.New(s.packetCluster); err != nil {
		return ctrl.Result{}, err
	}
	defer func() {
		summarize(s.packetCluster)
		reterr = errors.Join(reterr, s.writer.Write(ctx, r.Client, s.packetCluster))
	}()
	if deleting {
		return r.delete(ctx, s)
	}
	return r.normal(ctx, s)
}

// findAccount fills in the account; done is true if there is none and the conditions say so.
func (r *Reconciler) findAccount(ctx context.Context, s *scope) (done bool, result ctrl.Result, err error) {
	s.account, err = r.Accounts.AccountOf(ctx, s.packetCluster)
	var missing *credentials.MissingError
	if errors.As(err, &missing) {
		set(s.packetCluster, infrav1.CredentialsAvailableCondition, false, infrav1.CredentialsMissingReason, missing.Error())
		return true, ctrl.Result{RequeueAfter: missingRetry}, nil
	}
	return err != nil, ctrl.Result{}, err
}
