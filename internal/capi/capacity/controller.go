// Package capacity tells a cluster autoscaler what machines of a PacketMachineTemplate or PacketMachinePool will be like, so that
// it can scale a MachineDeployment or MachinePool up from zero machines (Cluster API's contract for infrastructure machines,
// "support cluster autoscaling from zero"). It writes the status of templates and pools, from the plans of the Packet API.
package capacity

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/cluster-api/util/paused"
	"sigs.k8s.io/cluster-api/util/predicates"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/changes"
	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/internal/capi/writeback"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	// firstRetry and lastRetry bound the time between tries that failed without anybody saying when to come back. Nothing
	// but an autoscaler at zero waits for this controller.
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
	// credentialsRetry is the time between looks for credentials that do not exist or are refused.
	credentialsRetry = 30 * time.Second
)

// Accounts finds the Packet account of a cluster, which may be nil.
type Accounts interface {
	AccountOf(ctx context.Context, cluster *infrav1.PacketCluster) (*credentials.Account, error)
}

// Reconciler fills in the status of PacketMachineTemplates, and those parts of the status of PacketMachinePools.
type Reconciler struct {
	Client   client.Client
	Accounts Accounts
	// WatchFilterValue limits the controller to objects with that value of the watch-filter label.
	WatchFilterValue string
	// Clock is the time; the system's if nil.
	Clock packet.Clock

	plans *plans
}

// SetupWithManager adds the controller to a manager.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, options controller.Options) error {
	if r.Client == nil || r.Accounts == nil {
		return errors.New("the PacketMachineTemplate controller needs a client and accounts")
	}
	if r.Clock == nil {
		r.Clock = packet.SystemClock{}
	}
	r.plans = newPlans(r.Clock)
	log := ctrl.LoggerFrom(ctx).WithValues("controller", "packetmachinetemplate")
	options.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry)
	return errors.Join(r.setupPools(ctx, mgr, options), ctrl.NewControllerManagedBy(mgr).
		For(&infrav1.PacketMachineTemplate{}, builder.WithPredicates(changes.ByOthers())).
		Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(r.templatesOf),
			builder.WithPredicates(predicates.ClusterPausedTransitions(mgr.GetScheme(), log))).
		WithEventFilter(predicates.ResourceHasFilterLabel(mgr.GetScheme(), log, r.WatchFilterValue)).
		WithOptions(options).
		Complete(r))
}

// templatesOf finds the templates that a Cluster owns. They carry no label of it.
func (r *Reconciler) templatesOf(ctx context.Context, cluster client.Object) []reconcile.Request {
	templates := &infrav1.PacketMachineTemplateList{}
	if err := r.Client.List(ctx, templates, client.InNamespace(cluster.GetNamespace())); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Looking for the templates of a Cluster", "Cluster", klog.KObj(cluster))
		return nil
	}
	var requests []reconcile.Request
	for n := range templates.Items {
		template := &templates.Items[n]
		if util.IsOwnedByObject(template, cluster, clusterv1.GroupVersion.WithKind("Cluster").GroupKind()) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(template)})
		}
	}
	return requests
}

// Reconcile fills in the status of one template.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (_ ctrl.Result, reterr error) {
	template := &infrav1.PacketMachineTemplate{}
	if err := r.Client.Get(ctx, request.NamespacedName, template); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !template.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	// A template of a ClusterClass is owned by that, and others have no owner until they are used.
	cluster, err := util.GetOwnerCluster(ctx, r.Client, template.ObjectMeta)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("reading the Cluster: %w", err)
	}
	if isPaused, _, err := paused.EnsurePausedCondition(ctx, r.Client, cluster, template); err != nil || isPaused {
		return ctrl.Result{}, err
	}
	packetCluster, err := r.packetCluster(ctx, cluster)
	if err != nil {
		return ctrl.Result{}, err
	}
	writer, err := writeback.New(template)
	if err != nil {
		return ctrl.Result{}, err
	}
	defer func() { reterr = errors.Join(reterr, writer.Write(ctx, r.Client, template)) }()
	return r.fill(ctx, template, packetCluster)
}

// packetCluster is the infrastructure of a cluster; nil if there is no cluster, or none of this provider.
func (r *Reconciler) packetCluster(ctx context.Context, cluster *clusterv1.Cluster) (*infrav1.PacketCluster, error) {
	if cluster == nil || cluster.Spec.InfrastructureRef.Kind != "PacketCluster" {
		return nil, nil
	}
	found := &infrav1.PacketCluster{}
	key := client.ObjectKey{Namespace: cluster.Namespace, Name: cluster.Spec.InfrastructureRef.Name}
	err := r.Client.Get(ctx, key, found)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading PacketCluster %s: %w", key, err)
	}
	return found, nil
}

// fill sets capacity, nodeInfo and the condition that tells where they come from. What is known stays when the Packet API
// cannot be asked: a plan does not change.
func (r *Reconciler) fill(ctx context.Context, template *infrav1.PacketMachineTemplate, cluster *infrav1.PacketCluster) (ctrl.Result, error) {
	resources, info, why := r.look(ctx, cluster, template.Spec.Template.Spec, "spec.template.spec.machineType")
	if why == nil {
		template.Status.Capacity, template.Status.NodeInfo = resources, info
		set(template, metav1.ConditionTrue, infrav1.CapacityFromPlanReason, "")
		return ctrl.Result{}, nil
	}
	if why.nothing {
		template.Status.Capacity, template.Status.NodeInfo = nil, infrav1.PacketNodeInfo{}
	}
	if why.nothing || !conditions.IsTrue(template, infrav1.CapacityKnownCondition) {
		set(template, metav1.ConditionFalse, why.reason, why.message)
	}
	return why.result, why.err
}

func set(template *infrav1.PacketMachineTemplate, status metav1.ConditionStatus, reason, message string) {
	conditions.Set(template, metav1.Condition{Type: infrav1.CapacityKnownCondition, Status: status, Reason: reason, Message: message})
}
