// Package packetremediation reconciles PacketRemediations: each tries to heal the device of an unhealthy Machine, step by
// step, and hands the Machine back to its owner when nothing helped.
//
// A MachineHealthCheck makes a PacketRemediation, of the Machine's name, when the Machine is unhealthy, and deletes it when
// it is healthy again. Creating and deleting is all that passes between the two. (Proposal "Machine health checking", external
// remediation.)
//
// No action is repeated by mistake. That a try begins is written down before the Packet API is asked, in a write that only
// succeeds on the newest version of the object. Who finds such a note without its end asks the Packet API what became of it.
package packetremediation

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
)

const (
	// firstRetry and lastRetry bound the time between tries that failed without anybody saying when to come back.
	firstRetry = 200 * time.Millisecond
	lastRetry  = 10 * time.Second
	// refusedRetry is the time between tries of what a person has to change.
	refusedRetry = 30 * time.Second
	// deferredRetry is the time between looks whether the control plane can bear it now.
	deferredRetry = 10 * time.Second
)

// Accounts finds the Packet account of a cluster, which may be nil.
type Accounts interface {
	AccountOf(ctx context.Context, cluster *infrav1.PacketCluster) (*credentials.Account, error)
}

// Reconciler carries PacketRemediations out.
type Reconciler struct {
	// Client writes.
	Client client.Client
	// Reader reads live. There are few remediations, and each of their steps is worth knowing how things really are.
	Reader   client.Reader
	Accounts Accounts
	Recorder events.EventRecorder
	// WatchFilterValue limits the controller to objects with that value of the watch-filter label.
	WatchFilterValue string
	// PollInterval is the time between looks at a device that is changing.
	PollInterval time.Duration
	// Now is the time; time.Now if nil.
	Now func() time.Time

	// controlPlanes is held while it is decided whether a control plane can bear an action, until that is on record.
	controlPlanes sync.Mutex
}

// SetupWithManager adds the controller to a manager.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, options controller.Options) error {
	if r.Client == nil || r.Reader == nil || r.Accounts == nil || r.Recorder == nil || r.PollInterval <= 0 {
		return errors.New("the PacketRemediation controller needs a client, a live reader, accounts, a recorder and a positive interval")
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	log := ctrl.LoggerFrom(ctx).WithValues("controller", "packetremediation")
	remediationsOf, err := util.ClusterToTypedObjectsMapper(r.Client, &infrav1.PacketRemediationList{}, mgr.GetScheme())
	if err != nil {
		return fmt.Errorf("mapping Clusters to PacketRemediations: %w", err)
	}
	options.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry)
	return ctrl.NewControllerManagedBy(mgr).
		For(&infrav1.PacketRemediation{}, builder.WithPredicates(changes.ByOthers())).
		// A PacketRemediation has the name of its Machine.
		Watches(&clusterv1.Machine{}, &handler.EnqueueRequestForObject{}).
		Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(remediationsOf),
			builder.WithPredicates(predicates.ClusterPausedTransitions(mgr.GetScheme(), log))).
		WithEventFilter(predicates.ResourceHasFilterLabel(mgr.GetScheme(), log, r.WatchFilterValue)).
		WithOptions(options).
		Complete(r)
}

// scope is everything that one reconcile is about.
type scope struct {
	remediation *infrav1.PacketRemediation
	// machine, packetMachine, cluster and packetCluster are nil where they are gone, or not of this provider.
	machine       *clusterv1.Machine
	packetMachine *infrav1.PacketMachine
	cluster       *clusterv1.Cluster
	packetCluster *infrav1.PacketCluster
	account       *credentials.Account
	// stored is the status as the API server has it.
	stored *infrav1.PacketRemediationStatus
}

// Reconcile carries one PacketRemediation on.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	s := &scope{remediation: &infrav1.PacketRemediation{}}
	// Every Machine's changes come by here, and few Machines have a remediation: the cache tells most of them apart.
	if err := r.Client.Get(ctx, request.NamespacedName, s.remediation); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if err := r.read(ctx, s); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	log := ctrl.LoggerFrom(ctx)
	if s.machine != nil {
		log = log.WithValues("Cluster", klog.KRef(s.machine.Namespace, s.machine.Spec.ClusterName), "Machine", klog.KObj(s.machine))
	}
	ctx = ctrl.LoggerInto(ctx, log)
	isPaused, changed, err := paused.EnsurePausedCondition(ctx, r.Client, s.cluster, s.remediation)
	if err != nil || isPaused {
		return ctrl.Result{}, err
	}
	if changed {
		// The condition is a newer version of the object than the one that was read.
		if err := r.read(ctx, s); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	if !s.remediation.DeletionTimestamp.IsZero() {
		return r.delete(ctx, s)
	}
	return r.normal(ctx, s)
}

// read reads the remediation and everything around it. The error is a "not found" only if the remediation is gone.
func (r *Reconciler) read(ctx context.Context, s *scope) error {
	fresh := &infrav1.PacketRemediation{}
	if err := r.Reader.Get(ctx, client.ObjectKeyFromObject(s.remediation), fresh); err != nil {
		return err
	}
	*s = scope{remediation: fresh, stored: fresh.Status.DeepCopy()}
	name := ""
	for _, owner := range fresh.OwnerReferences {
		if owner.Kind == "Machine" {
			name = owner.Name
		}
	}
	var err error
	if s.machine, err = get(ctx, r.Reader, fresh.Namespace, name, &clusterv1.Machine{}); err != nil || s.machine == nil {
		return err
	}
	if s.cluster, err = get(ctx, r.Reader, fresh.Namespace, s.machine.Spec.ClusterName, &clusterv1.Cluster{}); err != nil {
		return err
	}
	if ref := s.machine.Spec.InfrastructureRef; ref.Kind == infrav1.InfrastructureMachineKind {
		if s.packetMachine, err = get(ctx, r.Reader, fresh.Namespace, ref.Name, &infrav1.PacketMachine{}); err != nil {
			return err
		}
	}
	if s.cluster != nil && s.cluster.Spec.InfrastructureRef.Kind == "PacketCluster" {
		s.packetCluster, err = get(ctx, r.Reader, fresh.Namespace, s.cluster.Spec.InfrastructureRef.Name, &infrav1.PacketCluster{})
	}
	return err
}

// get reads an object, nil if there is none or no name.
func get[T client.Object](ctx context.Context, reader client.Reader, namespace, name string, into T) (T, error) {
	var none T
	if name == "" {
		return none, nil
	}
	if err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, into); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return none, nil
		}
		return none, fmt.Errorf("reading %T %s: %w", into, name, err)
	}
	return into, nil
}
