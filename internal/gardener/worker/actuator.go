package worker

import (
	"context"
	"fmt"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gardener/gardener/extensions/pkg/controller"
	"github.com/gardener/gardener/extensions/pkg/controller/worker"
	"github.com/gardener/gardener/extensions/pkg/controller/worker/genericactuator"
	"github.com/gardener/gardener/extensions/pkg/util"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	"github.com/packetyard/packetyard/internal/gardener/faults"
)

// actuator is Gardener's generic actuator with error codes, and with an end for Workers that never had a machine.
type actuator struct {
	worker.Actuator
	// live reads past the cache: what is not there yet in the cache may have a machine.
	live     client.Reader
	networks *nodeNetworks
}

func newActuator(mgr manager.Manager, garden cluster.Cluster, apiURL string) *actuator {
	networks := newNodeNetworks(mgr.GetClient(), mgr.GetAPIReader())
	delegates := &delegates{client: mgr.GetClient(), networks: networks, apiURL: apiURL}
	codes := func(err error) []gardencorev1beta1.ErrorCode { return util.DetermineErrorCodes(err, faults.KnownCodes) }
	return &actuator{
		Actuator: genericactuator.NewActuator(mgr, garden, delegates, codes),
		live:     mgr.GetAPIReader(),
		networks: networks,
	}
}

// Reconcile implements worker.Actuator.
func (a *actuator) Reconcile(ctx context.Context, log logr.Logger, w *extensionsv1alpha1.Worker, cluster *controller.Cluster) error {
	return coded(a.Actuator.Reconcile(ctx, log, w, cluster))
}

// Restore implements worker.Actuator.
func (a *actuator) Restore(ctx context.Context, log logr.Logger, w *extensionsv1alpha1.Worker, cluster *controller.Cluster) error {
	return coded(a.Actuator.Restore(ctx, log, w, cluster))
}

// Migrate implements worker.Actuator.
func (a *actuator) Migrate(ctx context.Context, log logr.Logger, w *extensionsv1alpha1.Worker, cluster *controller.Cluster) error {
	a.networks.forget(w)
	return coded(a.Actuator.Migrate(ctx, log, w, cluster))
}

// ForceDelete implements worker.Actuator.
func (a *actuator) ForceDelete(ctx context.Context, log logr.Logger, w *extensionsv1alpha1.Worker, cluster *controller.Cluster) error {
	a.networks.forget(w)
	return coded(a.Actuator.ForceDelete(ctx, log, w, cluster))
}

// Delete implements worker.Actuator.
//
// The generic actuator begins by writing every MachineClass again, so a Worker whose classes could never be written (its machine
// image is unknown, its credentials are not valid) could never be deleted either. Where there is nothing, nothing is done.
func (a *actuator) Delete(ctx context.Context, log logr.Logger, w *extensionsv1alpha1.Worker, cluster *controller.Cluster) error {
	a.networks.forget(w)
	empty, err := a.nothingLeft(ctx, w)
	if err != nil {
		return coded(err)
	}
	if empty {
		log.Info("There is nothing left of any machine")
		return nil
	}
	return coded(a.Actuator.Delete(ctx, log, w, cluster))
}

// nothingLeft tells whether a Worker has neither machines, nor anything that machines could come from, nor a Secret that
// machine-controller-manager still holds.
func (a *actuator) nothingLeft(ctx context.Context, w *extensionsv1alpha1.Worker) (bool, error) {
	for _, kind := range []string{"Machine", "MachineSet", "MachineDeployment", "MachineClass"} {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(machinev1alpha1.SchemeGroupVersion.WithKind(kind + "List"))
		if err := a.live.List(ctx, list, client.InNamespace(w.Namespace), client.Limit(1)); err != nil {
			return false, fmt.Errorf("listing %ss in namespace %s: %w", kind, w.Namespace, err)
		}
		if len(list.Items) > 0 {
			return false, nil
		}
	}
	secret := &metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	key := client.ObjectKey{Namespace: w.Spec.SecretRef.Namespace, Name: w.Spec.SecretRef.Name}
	if err := a.live.Get(ctx, key, secret); client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading Secret %s: %w", key, err)
	}
	return len(secret.Finalizers) == 0, nil
}

// coded gives an error the code by which Gardener tells a Shoot's owner whose turn it is.
func coded(err error) error { return faults.Coded(err) }
