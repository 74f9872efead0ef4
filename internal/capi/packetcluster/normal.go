package packetcluster

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	bootstrapv1 "sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/finalizers"
	"sigs.k8s.io/cluster-api/util/secret"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/elasticips"
	"github.com/packetyard/packetyard/internal/capi/writeback"
	"github.com/packetyard/packetyard/pkg/packet"
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
	ready, result, err := r.ensureEndpoint(ctx, s)
	if err != nil || !ready {
		return result, err
	}
	s.packetCluster.Status.FailureDomains = failureDomains(s.packetCluster.Spec)
	s.packetCluster.Status.Initialization.Provisioned = ptr.To(true)
	return ctrl.Result{}, nil
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

// ensureEndpoint makes sure that there is an address for the API server; ready is false while there is none.
func (r *Reconciler) ensureEndpoint(ctx context.Context, s *scope) (ready bool, _ ctrl.Result, _ error) {
	cluster := s.packetCluster
	if host := cluster.Spec.ControlPlaneEndpoint.Host; host != "" {
		return r.checkEndpoint(ctx, s, host)
	}
	reservation, created, err := elasticips.Reserve(ctx, s.account.Client, s.account.ProjectID, s.owner(), cluster.Spec.Metro, cluster.Spec.Facility)
	if err != nil {
		result, err := r.apiFailure(ctx, s, infrav1.ElasticIPReservationFailedReason, err)
		return false, result, err
	}
	set(cluster, infrav1.CredentialsAvailableCondition, true, infrav1.CredentialsAvailableReason, "")
	if created {
		ctrl.LoggerFrom(ctx).Info("Reserved elastic IP", "address", reservation.Address, "reservation", reservation.ID)
		r.Recorder.Eventf(cluster, nil, "Normal", "ElasticIPReserved", "Reserve", "Reserved elastic IP %s", reservation.Address)
	}
	if reservation.State == packet.IPStatePending || reservation.Address == "" {
		set(cluster, infrav1.ElasticIPReadyCondition, false, infrav1.ElasticIPPendingReason,
			fmt.Sprintf("reservation %s waits for an approval", reservation.ID))
		return false, ctrl.Result{RequeueAfter: refusedRetry}, nil
	}
	cluster.Spec.ControlPlaneEndpoint.Host = reservation.Address
	if cluster.Spec.ControlPlaneEndpoint.Port == 0 {
		cluster.Spec.ControlPlaneEndpoint.Port = apiServerPort
	}
	reserved(cluster, reservation)
	return true, ctrl.Result{}, nil
}

// checkEndpoint tells an endpoint that was reserved here from one that the user brought.
func (r *Reconciler) checkEndpoint(ctx context.Context, s *scope, host string) (ready bool, _ ctrl.Result, _ error) {
	cluster := s.packetCluster
	reservations, err := elasticips.Find(ctx, s.account.Client, s.account.ProjectID, s.owner())
	if err != nil {
		result, err := r.apiFailure(ctx, s, infrav1.ElasticIPReservationFailedReason, err)
		return false, result, err
	}
	set(cluster, infrav1.CredentialsAvailableCondition, true, infrav1.CredentialsAvailableReason, "")
	if cluster.Spec.ControlPlaneEndpoint.Port == 0 {
		cluster.Spec.ControlPlaneEndpoint.Port = apiServerPort
	}
	for n := range reservations {
		if reservations[n].Address == host {
			reserved(cluster, &reservations[n])
			return true, ctrl.Result{}, nil
		}
	}
	if cluster.Status.ElasticIP != nil && cluster.Status.ElasticIP.Address == host {
		// Certificates and kubeconfigs name this address, so another one would not do: a person has to decide.
		set(cluster, infrav1.ElasticIPReadyCondition, false, infrav1.ElasticIPReservationFailedReason,
			fmt.Sprintf("the reservation of elastic IP %s does not exist any more", host))
		return true, ctrl.Result{}, nil
	}
	set(cluster, infrav1.ElasticIPReadyCondition, true, infrav1.ElasticIPProvidedReason, "")
	return true, ctrl.Result{}, nil
}

func reserved(cluster *infrav1.PacketCluster, reservation *packet.IPReservation) {
	cluster.Status.ElasticIP = &infrav1.PacketElasticIPStatus{ReservationID: reservation.ID, Address: reservation.Address}
	set(cluster, infrav1.ElasticIPReadyCondition, true, infrav1.ElasticIPReservedReason, "")
}

// failureDomains are the places of a cluster. There is one, because its address is only routed there.
func failureDomains(spec infrav1.PacketClusterSpec) []clusterv1.FailureDomain {
	place, kind := spec.Metro, "metro"
	if place == "" {
		place, kind = spec.Facility, "facility"
	}
	return []clusterv1.FailureDomain{{
		Name:         place,
		ControlPlane: ptr.To(true),
		Attributes:   map[string]string{"kind": kind},
	}}
}
