package credentials

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"
	"sigs.k8s.io/cluster-api/util/predicates"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// Finalizer keeps a Secret with credentials while a PacketCluster that names it exists: without them, nothing of the
// cluster could be deleted from the Packet API.
const Finalizer = "packetcluster.infrastructure.cluster.x-k8s.io/credentials"

// Guard watches over the Secrets that PacketClusters name: each gets Finalizer, and the label by which clusterctl move takes
// it along.
//
// The label rather than an owner reference, because the Secret is the user's: when its last owner goes, an owned object is
// deleted, and several clusters may share the Secret.
type Guard struct {
	Client client.Client
	// Secrets is a cache of NewSecretCache.
	Secrets cache.Cache
	// WatchFilterValue limits the guard to PacketClusters with that value of the watch-filter label.
	WatchFilterValue string
}

// SetupWithManager adds the controller to a manager.
func (g *Guard) SetupWithManager(ctx context.Context, mgr ctrl.Manager, options controller.Options) error {
	if g.Client == nil || g.Secrets == nil {
		return errors.New("guarding Secrets needs a client and a cache of the metadata of Secrets")
	}
	log := ctrl.LoggerFrom(ctx).WithValues("controller", "packetcredentials")
	// The handler sees the object before and after a change, so that a Secret that is named no longer is looked at too.
	return ctrl.NewControllerManagedBy(mgr).
		Named("packetcredentials").
		Watches(&infrav1.PacketCluster{}, handler.EnqueueRequestsFromMapFunc(
			func(_ context.Context, object client.Object) []reconcile.Request {
				cluster, ok := object.(*infrav1.PacketCluster)
				if !ok {
					return nil
				}
				if secret, named := SecretOf(cluster); named {
					return []reconcile.Request{{NamespacedName: secret}}
				}
				return nil
			}), builder.WithPredicates(predicates.ResourceHasFilterLabel(mgr.GetScheme(), log, g.WatchFilterValue))).
		WatchesRawSource(Changes(g.Secrets, func(_ context.Context, secret client.ObjectKey) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: secret}}
		})).
		WithOptions(options).
		Complete(g)
}

// Reconcile makes one Secret carry what it should.
func (g *Guard) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	used, err := g.used(ctx, request.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	known := secretMetadata()
	if err := g.Secrets.Get(ctx, request.NamespacedName, known); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !used && !controllerutil.ContainsFinalizer(known, Finalizer) {
		// It is none of ours, as nearly all are.
		return ctrl.Result{}, nil
	}
	secret := &corev1.Secret{}
	if err := g.Client.Get(ctx, request.NamespacedName, secret); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	changed := secret.DeepCopy()
	switch {
	case !used:
		controllerutil.RemoveFinalizer(changed, Finalizer)
	case secret.DeletionTimestamp.IsZero():
		controllerutil.AddFinalizer(changed, Finalizer)
		if changed.Labels == nil {
			changed.Labels = map[string]string{}
		}
		if _, ok := changed.Labels[clusterctlv1.ClusterctlMoveLabel]; !ok {
			changed.Labels[clusterctlv1.ClusterctlMoveLabel] = ""
		}
	}
	if len(changed.Finalizers) == len(secret.Finalizers) && len(changed.Labels) == len(secret.Labels) {
		return ctrl.Result{}, nil
	}
	// Finalizers are replaced as a whole, so the version has to be the one that was read.
	patch := client.MergeFromWithOptions(secret, client.MergeFromWithOptimisticLock{})
	if err := g.Client.Patch(ctx, changed, patch); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("guarding Secret %s: %w", request, err)
	}
	return ctrl.Result{}, nil
}

// used tells whether a PacketCluster needs a Secret.
func (g *Guard) used(ctx context.Context, secret types.NamespacedName) (bool, error) {
	clusters := &infrav1.PacketClusterList{}
	if err := g.Client.List(ctx, clusters, client.InNamespace(secret.Namespace)); err != nil {
		return false, fmt.Errorf("listing the PacketClusters of namespace %s: %w", secret.Namespace, err)
	}
	for n := range clusters.Items {
		if key, named := SecretOf(&clusters.Items[n]); named && key == secret {
			return true, nil
		}
	}
	return false, nil
}
