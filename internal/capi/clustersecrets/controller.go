// Package clustersecrets makes, right when a Cluster is created, what its machines and its users will need: the certificate
// authority, a kubeadm token and an administrator's certificate, each in a Secret of the bootstrap cluster. Nothing of that
// waits for an address, a device or for credentials of the Packet API.
//
// Cluster API's providers would make the authority and the kubeconfig themselves, later and in their own time; they take what
// is there already. What they own in the end is theirs: with a KubeadmControlPlane, it is the owner of all of it.
package clustersecrets

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	bootstrapv1 "sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/annotations"
	"sigs.k8s.io/cluster-api/util/predicates"
	"sigs.k8s.io/cluster-api/util/secret"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// controlPlaneRetry is the time between looks for a control plane that its Cluster names and that does not exist yet: files
// of clusters have the Cluster first.
const controlPlaneRetry = 500 * time.Millisecond

// renewalInterval is how often certificates are looked at again. They live a year and are renewed after half of it.
const renewalInterval = 24 * time.Hour

// Encryption tells whether what is made here is stored encrypted.
type Encryption interface {
	// Warning is empty unless it is known that it is not.
	Warning() string
}

// Reconciler makes the Secrets of Clusters whose infrastructure is Packet's.
type Reconciler struct {
	Client   client.Client
	Recorder events.EventRecorder
	// Encryption warns about Secrets that lie readable; none if nil.
	Encryption Encryption
	// WatchFilterValue limits the controller to objects with that value of the watch-filter label.
	WatchFilterValue string
	// TokenTTL is how long the kubeadm token is valid.
	TokenTTL time.Duration
	// Now is the time; time.Now if nil.
	Now func() time.Time
}

// SetupWithManager adds the controller to a manager.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, options controller.Options) error {
	if r.Client == nil || r.Recorder == nil || r.TokenTTL <= 0 {
		return errors.New("the controller of clusters' Secrets needs a client, a recorder and a positive lifetime of tokens")
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	// The status of a Cluster changes all the time and means nothing here.
	news := predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})
	return ctrl.NewControllerManagedBy(mgr).
		Named("packetclustersecrets").
		For(&clusterv1.Cluster{}, builder.WithPredicates(news)).
		WithEventFilter(predicates.ResourceHasFilterLabel(mgr.GetScheme(), ctrl.LoggerFrom(ctx), r.WatchFilterValue)).
		WithOptions(options).
		Complete(r)
}

// ours tells whether the Secrets of a Cluster are for this controller to make: its infrastructure is Packet's, and kubeadm makes
// its control plane. The latter is so without a reference to a control plane, unless a ClusterClass has yet to set it.
func ours(cluster *clusterv1.Cluster) bool {
	infrastructure, controlPlane := cluster.Spec.InfrastructureRef, cluster.Spec.ControlPlaneRef
	if infrastructure.APIGroup != infrav1.GroupVersion.Group || infrastructure.Kind != "PacketCluster" {
		return false
	}
	if !controlPlane.IsDefined() {
		return !cluster.Spec.Topology.IsDefined()
	}
	return controlPlane.APIGroup == controlplanev1.GroupVersion.Group && controlPlane.Kind == "KubeadmControlPlane"
}

// Reconcile makes the Secrets of one Cluster.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	cluster := &clusterv1.Cluster{}
	if err := r.Client.Get(ctx, request.NamespacedName, cluster); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !cluster.DeletionTimestamp.IsZero() || annotations.IsPaused(cluster, cluster) {
		return ctrl.Result{}, nil
	}
	if !ours(cluster) {
		return ctrl.Result{}, nil
	}
	owner, algorithm, err := r.owner(ctx, cluster)
	if apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: controlPlaneRetry}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	authority := &secret.Certificate{Purpose: secret.ClusterCA, KeyEncryptionAlgorithm: algorithm}
	if err := r.ensureAuthority(ctx, cluster, authority, owner); err != nil {
		return ctrl.Result{}, err
	}
	made, err := r.ensureToken(ctx, cluster)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.ensureAdministrator(ctx, cluster, authority, owner, algorithm); err != nil {
		return ctrl.Result{}, err
	}
	if made {
		ctrl.LoggerFrom(ctx).Info("Made the certificate authority, the kubeadm token and the administrator's certificate", "Cluster", klog.KObj(cluster))
		if r.Encryption != nil {
			if warning := r.Encryption.Warning(); warning != "" {
				r.Recorder.Eventf(cluster, nil, "Warning", "NotEncryptedAtRest", "StoreSecrets", "%s", warning)
			}
		}
	}
	return ctrl.Result{RequeueAfter: renewalInterval}, nil
}

// owner is who owns the authority and the kubeconfig, and how the keys are made: a KubeadmControlPlane says both, and would
// take over what somebody else owns. Without one, the Cluster is the owner. The error is a NotFound if the KubeadmControlPlane
// does not exist yet.
func (r *Reconciler) owner(ctx context.Context, cluster *clusterv1.Cluster) (metav1.OwnerReference, bootstrapv1.EncryptionAlgorithmType, error) {
	reference := cluster.Spec.ControlPlaneRef
	if !reference.IsDefined() {
		return *metav1.NewControllerRef(cluster, clusterv1.GroupVersion.WithKind("Cluster")), bootstrapv1.EncryptionAlgorithmECDSAP256, nil
	}
	controlPlane := &controlplanev1.KubeadmControlPlane{}
	key := client.ObjectKey{Namespace: cluster.Namespace, Name: reference.Name}
	if err := r.Client.Get(ctx, key, controlPlane); err != nil {
		return metav1.OwnerReference{}, "", fmt.Errorf("reading KubeadmControlPlane %s: %w", key, err)
	}
	algorithm := controlPlane.Spec.KubeadmConfigSpec.ClusterConfiguration.EncryptionAlgorithm
	if algorithm == "" {
		algorithm = bootstrapv1.EncryptionAlgorithmRSA2048 // The default of kubeadm.
	}
	return *metav1.NewControllerRef(controlPlane, controlplanev1.GroupVersion.WithKind("KubeadmControlPlane")), algorithm, nil
}

// ensureAuthority reads or makes the certificate authority. Another provider can make it at the same moment: the next look
// takes that one.
func (r *Reconciler) ensureAuthority(ctx context.Context, cluster *clusterv1.Cluster, authority *secret.Certificate, owner metav1.OwnerReference) error {
	all := secret.Certificates{authority}
	err := all.LookupOrGenerate(ctx, r.Client, client.ObjectKeyFromObject(cluster), owner)
	if apierrors.IsAlreadyExists(err) {
		err = all.Lookup(ctx, r.Client, client.ObjectKeyFromObject(cluster))
	}
	if err != nil {
		return fmt.Errorf("making the certificate authority of the cluster: %w", err)
	}
	return nil
}
