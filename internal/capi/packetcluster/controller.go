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
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util"
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

// Accounts finds the Packet account of a project.
type Accounts interface {
	Account(ctx context.Context, projectID string) (*credentials.Account, error)
}

// Reconciler makes PacketClusters true.
type Reconciler struct {
	Client   client.Client
	Accounts Accounts
	Recorder events.EventRecorder
	// WatchFilterValue limits the controller to objects with that value of the watch-filter label.
	WatchFilterValue string
	// PollInterval is the time between looks at something that is changing.
	PollInterval time.Duration
}

// SetupWithManager adds the controller to a manager.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, options controller.Options) error {
	if r.Client == nil || r.Accounts == nil || r.Recorder == nil || r.PollInterval <= 0 {
		return errors.New("the PacketCluster controller needs a client, accounts, a recorder and a positive interval")
	}
	log := ctrl.LoggerFrom(ctx).WithValues("controller", "packetcluster")
	infrastructureOf := util.ClusterToInfrastructureMapFunc(ctx, infrav1.GroupVersion.WithKind("PacketCluster"), r.Client, &infrav1.PacketCluster{})
	options.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry)
	return ctrl.NewControllerManagedBy(mgr).
		For(&infrav1.PacketCluster{}, builder.WithPredicates(
			changes.ByOthers(), predicates.ResourceIsNotExternallyManaged(mgr.GetScheme(), log))).
		Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(infrastructureOf),
			builder.WithPredicates(predicates.ClusterPausedTransitions(mgr.GetScheme(), log))).
		WithEventFilter(predicates.ResourceHasFilterLabel(mgr.GetScheme(), log, r.WatchFilterValue)).
		WithOptions(options).
		Complete(r)
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
	if s.writer, err = writeback.New(s.packetCluster); err != nil {
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
	s.account, err = r.Accounts.Account(ctx, s.packetCluster.Spec.ProjectID)
	var missing *credentials.MissingError
	if errors.As(err, &missing) {
		set(s.packetCluster, infrav1.CredentialsAvailableCondition, false, infrav1.CredentialsMissingReason, missing.Error())
		return true, ctrl.Result{RequeueAfter: missingRetry}, nil
	}
	return err != nil, ctrl.Result{}, err
}
