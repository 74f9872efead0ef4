package packetcluster

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	bootstrapv1 "sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2"
	"sigs.k8s.io/cluster-api/util/finalizers"
	"sigs.k8s.io/cluster-api/util/secret"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/writeback"
)

func (r *Reconciler) normal(ctx context.Context, s *scope) (ctrl.Result, error) {
	if done, result, err := r.findAccount(ctx, s); done {
		return result, err
	}
	// The finalizer guards the elastic IP, so it comes just before the first call that can reserve one.
	if added, err := finalizers.EnsureFinalizer(ctx, r.Client, s.packetCluster, infrav1.ClusterFinalizer); err != nil {
		return ctrl.Result{}, fmt.Errorf("adding the finalizer: %w", err)
	} else if added {
		if s.writer, err = writeback.New(s.packetCluster); err != nil {
			return ctrl.Result{}, err
		}
	}
	if err := r.ensureAuthority(ctx, s); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.ensureCloudConfig(ctx, s); err != nil {
		return ctrl.Result{}, err
	}
	s.packetCluster.Status.FailureDomains = failureDomains(s.packetCluster.Spec)
	ready, result, err := r.ensureEndpoint(ctx, s)
	if err != nil || !ready {
		return result, err
	}
	if s.packetCluster.Spec.VIPManager == infrav1.VIPManagerKubeVIP {
		if ready, result, err = r.ensureBGP(ctx, s); err != nil || !ready {
			return result, err
		}
	}
	s.packetCluster.Status.Initialization.Provisioned = ptr.To(true)
	return result, nil
}

// ensureAuthority makes the cluster's certificate authority as soon as the cluster exists, if no control plane provider
// does. The kubeadm bootstrap provider would make it with the first master's user data, but then Cluster API, which looks
// for it right when the endpoint becomes known, finds none and looks again 30 s later before it can write the kubeconfig.
func (r *Reconciler) ensureAuthority(ctx context.Context, s *scope) error {
	if s.cluster.Spec.ControlPlaneRef.IsDefined() {
		return nil
	}
	// An elliptic key is made in a millisecond; the key of everything else is for the bootstrap provider to choose.
	authority := secret.Certificates{&secret.Certificate{
		Purpose: secret.ClusterCA, KeyEncryptionAlgorithm: bootstrapv1.EncryptionAlgorithmECDSAP256,
	}}
	owner := *metav1.NewControllerRef(s.packetCluster, infrav1.GroupVersion.WithKind("PacketCluster"))
	if err := authority.LookupOrGenerate(ctx, r.Client, client.ObjectKeyFromObject(s.cluster), owner); err != nil {
		return fmt.Errorf("making the certificate authority of the cluster: %w", err)
	}
	return nil
}
