// Package packetmachine reconciles PacketMachines: each is one device of the Packet API.
package packetmachine

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
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/internal/capi/writeback"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	// firstRetry and lastRetry bound the time between tries that failed without anybody saying when to come back.
	firstRetry = 200 * time.Millisecond
	lastRetry  = 10 * time.Second
	// refusedRetry is the time between tries of what the Packet API refused: a person has to change something, or
	// hardware has to become free.
	refusedRetry = 30 * time.Second
	// missingRetry is the time between looks for credentials that do not exist.
	missingRetry = 5 * time.Second
	// bootstrapWatch is how long after its creation a device that has not become a node is asked often how it does.
	bootstrapWatch = 15 * time.Minute
)

// Accounts finds the Packet account of a project.
type Accounts interface {
	Account(ctx context.Context, projectID string) (*credentials.Account, error)
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
	// ResyncInterval is the time between looks at a device that is not.
	ResyncInterval time.Duration
	// Now is the time; time.Now if nil.
	Now func() time.Time
}

// SetupWithManager adds the controller to a manager.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, options controller.Options) error {
	if r.Client == nil || r.Accounts == nil || r.Recorder == nil || r.PollInterval <= 0 || r.ResyncInterval <= 0 {
		return errors.New("the PacketMachine controller needs a client, accounts, a recorder and positive intervals")
	}
	if r.Now == nil {
		r.Now = time.Now
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

// scope is everything that one reconcile is about.
type scope struct {
	packetMachine *infrav1.PacketMachine
	// machine, cluster and packetCluster can be nil while the PacketMachine is being deleted.
	machine       *clusterv1.Machine
	cluster       *clusterv1.Cluster
	packetCluster *infrav1.PacketCluster
	clusterName   string
	account       *credentials.Account
	writer        *writeback.Writer
}

func (s *scope) identity() (devices.Identity, error) {
	id := devices.Identity{
		Namespace: s.packetMachine.Namespace,
		Cluster:   s.clusterName,
		Machine:   s.packetMachine.Name,
	}
	if s.packetMachine.Spec.ProviderID != "" {
		var err error
		if id.DeviceID, err = packet.DeviceID(s.packetMachine.Spec.ProviderID); err != nil {
			return id, fmt.Errorf("spec.providerID %q: %w", s.packetMachine.Spec.ProviderID, err)
		}
	}
	return id, nil
}

// Reconcile makes one PacketMachine true.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (_ ctrl.Result, reterr error) {
	s := &scope{packetMachine: &infrav1.PacketMachine{}}
	if err := r.Client.Get(ctx, request.NamespacedName, s.packetMachine); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
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
	if s.writer, err = writeback.New(s.packetMachine); err != nil {
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

// findOwners fills in the objects around the PacketMachine. It returns false if there is nothing to do without them.
func (r *Reconciler) findOwners(ctx context.Context, s *scope) (bool, error) {
	deleting := !s.packetMachine.DeletionTimestamp.IsZero()
	var err error
	if s.machine, err = util.GetOwnerMachine(ctx, r.Client, s.packetMachine.ObjectMeta); client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading the Machine: %w", err)
	}
	s.clusterName = s.packetMachine.Labels[clusterv1.ClusterNameLabel]
	if s.machine != nil {
		s.clusterName = s.machine.Spec.ClusterName
	}
	if s.clusterName == "" || (s.machine == nil && !deleting) {
		// Cluster API sets the owner and the label, and that is an event.
		return false, nil
	}
	cluster := &clusterv1.Cluster{}
	key := client.ObjectKey{Namespace: s.packetMachine.Namespace, Name: s.clusterName}
	switch err := r.Client.Get(ctx, key, cluster); {
	case apierrors.IsNotFound(err):
		return deleting, nil
	case err != nil:
		return false, fmt.Errorf("reading Cluster %s: %w", key, err)
	}
	s.cluster = cluster
	if cluster.Spec.InfrastructureRef.Kind != "PacketCluster" {
		return deleting, nil
	}
	packetCluster := &infrav1.PacketCluster{}
	key.Name = cluster.Spec.InfrastructureRef.Name
	switch err := r.Client.Get(ctx, key, packetCluster); {
	case apierrors.IsNotFound(err):
		return deleting, nil
	case err != nil:
		return false, fmt.Errorf("reading PacketCluster %s: %w", key, err)
	}
	s.packetCluster = packetCluster
	return true, nil
}

// findAccount fills in the account; done is true if there is none and the conditions say so.
func (r *Reconciler) findAccount(ctx context.Context, s *scope) (done bool, result ctrl.Result, err error) {
	var projectID string
	if s.packetCluster != nil {
		projectID = s.packetCluster.Spec.ProjectID
	}
	s.account, err = r.Accounts.Account(ctx, projectID)
	var missing *credentials.MissingError
	if errors.As(err, &missing) {
		set(s.packetMachine, infrav1.CredentialsAvailableCondition, false, infrav1.CredentialsMissingReason, missing.Error())
		return true, ctrl.Result{RequeueAfter: missingRetry}, nil
	}
	return err != nil, ctrl.Result{}, err
}
