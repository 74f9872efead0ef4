package packetcluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/elasticips"
	"github.com/packetyard/packetyard/pkg/packet"
)

// ensureEndpoint makes sure that there is an address for the API server; ready is false while there is none.
func (r *Reconciler) ensureEndpoint(ctx context.Context, s *scope) (ready bool, _ ctrl.Result, _ error) {
	cluster := s.packetCluster
	switch {
	case cluster.Spec.VIPManager == infrav1.VIPManagerExternal:
		return r.externalEndpoint(s)
	case cluster.Spec.ElasticIP.ReservationID != "":
		return r.broughtEndpoint(ctx, s)
	case cluster.Spec.ControlPlaneEndpoint.Host != "":
		return r.checkEndpoint(ctx, s)
	}
	reservation, created, err := s.account.ElasticIPs.Reserve(ctx, s.owner(), wanted(cluster))
	if err != nil {
		result, err := r.apiFailure(ctx, s, reservationReason(err), advised(err))
		return false, result, err
	}
	r.accepted(s)
	if created {
		ctrl.LoggerFrom(ctx).Info("Reserved elastic IP", "address", reservation.Address, "reservation", reservation.ID)
		r.Recorder.Eventf(cluster, nil, "Normal", "ElasticIPReserved", "Reserve", "Reserved elastic IP %s", reservation.Address)
	}
	if reservation.State == packet.IPStatePending || reservation.Address == "" {
		s.account.ElasticIPs.Forget()
		set(cluster, infrav1.ElasticIPReadyCondition, false, infrav1.ElasticIPPendingReason,
			fmt.Sprintf("reservation %s waits for an approval by Packet", reservation.ID))
		return false, ctrl.Result{RequeueAfter: refusedRetry}, nil
	}
	reserved(cluster, reservation)
	return true, ctrl.Result{}, nil
}

// wanted is the kind of address that a cluster asks for.
func wanted(cluster *infrav1.PacketCluster) elasticips.Wanted {
	kind := cluster.Spec.ElasticIP.Type
	if kind == "" {
		kind = infrav1.ElasticIPPublicIPv4
	}
	return elasticips.Wanted{
		Type: string(kind), Metro: cluster.Spec.Metro, Facility: cluster.Spec.Facility, Tags: cluster.Spec.ElasticIP.Tags,
	}
}

// reservationReason tells a full project from other refusals, because waiting helps with neither, and a person can do
// something else about each. With fail_on_approval_required, being over the quota is the refusal to wait for an approval.
func reservationReason(err error) string {
	var answer *packet.Error
	if packet.IsUnprocessable(err) && errors.As(err, &answer) &&
		slices.ContainsFunc([]string{"quota", "approval"}, func(word string) bool { return strings.Contains(strings.ToLower(answer.Error()), word) }) {
		return infrav1.ElasticIPQuotaExceededReason
	}
	return infrav1.ElasticIPReservationFailedReason
}

// advised adds to a refused reservation what can be done about it.
func advised(err error) error {
	if reservationReason(err) != infrav1.ElasticIPQuotaExceededReason {
		return err
	}
	return fmt.Errorf("%w: release an address that the project does not use, have its quota raised, or name a reservation in spec.elasticIP.reservationID", err)
}

// externalEndpoint is for the user to provide.
func (r *Reconciler) externalEndpoint(s *scope) (ready bool, _ ctrl.Result, _ error) {
	cluster := s.packetCluster
	if cluster.Spec.ControlPlaneEndpoint.Host == "" {
		set(cluster, infrav1.ElasticIPReadyCondition, false, infrav1.ElasticIPEndpointMissingReason,
			"spec.vipManager is External: set spec.controlPlaneEndpoint.host to the address of the load balancer in front of the API servers")
		return false, ctrl.Result{}, nil
	}
	provided(cluster)
	return true, ctrl.Result{}, nil
}

// checkEndpoint tells an endpoint that was reserved here from one that the user brought.
func (r *Reconciler) checkEndpoint(ctx context.Context, s *scope) (ready bool, _ ctrl.Result, _ error) {
	cluster := s.packetCluster
	host := cluster.Spec.ControlPlaneEndpoint.Host
	if elasticIP := cluster.Status.ElasticIP; elasticIP != nil && elasticIP.Address == host && elasticIP.AssignedTo != "" {
		// A device has it, so it exists. Package endpoint looks at that all the time, and at no cost.
		reserved(cluster, &packet.IPReservation{ID: elasticIP.ReservationID, Address: host})
		return true, ctrl.Result{}, nil
	}
	found, err := s.account.ElasticIPs.Find(ctx, s.owner())
	if err != nil {
		result, err := r.apiFailure(ctx, s, infrav1.ElasticIPReservationFailedReason, err)
		return false, result, err
	}
	r.accepted(s)
	for n := range found {
		if found[n].Address != host {
			continue
		}
		reserved(cluster, &found[n])
		return true, ctrl.Result{}, r.releaseSurplus(ctx, s, found, host)
	}
	if cluster.Status.ElasticIP != nil && cluster.Status.ElasticIP.Address == host {
		// Certificates and kubeconfigs name this address, so another one would not do: a person has to decide.
		set(cluster, infrav1.ElasticIPReadyCondition, false, infrav1.ElasticIPReservationFailedReason,
			fmt.Sprintf("the reservation of elastic IP %s does not exist any more, and certificates and kubeconfigs name this address: "+
				"reserve it again with the tags of the cluster, or make a new cluster", host))
		return true, ctrl.Result{RequeueAfter: refusedRetry}, nil
	}
	provided(cluster)
	return true, ctrl.Result{}, nil
}

func (r *Reconciler) releaseSurplus(ctx context.Context, s *scope, found []packet.IPReservation, used string) error {
	if len(found) == 1 {
		return nil
	}
	released, err := s.account.ElasticIPs.ReleaseSurplus(ctx, s.owner(), found, used)
	for _, address := range released {
		ctrl.LoggerFrom(ctx).Info("Released a second elastic IP of the cluster", "address", address)
		r.Recorder.Eventf(s.packetCluster, nil, "Warning", "SurplusElasticIPReleased", "Release", "Released elastic IP %s, which nobody uses", address)
	}
	return err
}

// broughtEndpoint is a reservation that the user named. It is looked at closely once, before it becomes the endpoint.
func (r *Reconciler) broughtEndpoint(ctx context.Context, s *scope) (ready bool, _ ctrl.Result, _ error) {
	cluster := s.packetCluster
	id := cluster.Spec.ElasticIP.ReservationID
	if elasticIP := cluster.Status.ElasticIP; elasticIP != nil && strings.EqualFold(elasticIP.ReservationID, id) &&
		elasticIP.Address == cluster.Spec.ControlPlaneEndpoint.Host && ptr.Deref(cluster.Status.Initialization.Provisioned, false) {
		r.accepted(s)
		reserved(cluster, &packet.IPReservation{ID: elasticIP.ReservationID, Address: elasticIP.Address})
		return true, ctrl.Result{}, nil
	}
	var unusable *elasticips.UnusableError
	if err := r.unclaimed(ctx, cluster); errors.As(err, &unusable) {
		return r.unusable(s, err)
	} else if err != nil {
		return false, ctrl.Result{}, err
	}
	ours, err := s.account.Devices.OfCluster(ctx, cluster.Namespace, s.clusterName)
	if err != nil {
		result, err := r.apiFailure(ctx, s, infrav1.ElasticIPReservationFailedReason, fmt.Errorf("listing the cluster's devices: %w", err))
		return false, result, err
	}
	reservation, err := s.account.ElasticIPs.Brought(ctx, s.owner(), id, wanted(cluster), func(deviceID string) bool {
		return slices.ContainsFunc(ours, func(d *packet.Device) bool { return strings.EqualFold(d.ID, deviceID) })
	})
	switch {
	case errors.As(err, &unusable):
		return r.unusable(s, err)
	case err != nil:
		result, err := r.apiFailure(ctx, s, infrav1.ElasticIPReservationFailedReason, err)
		return false, result, err
	}
	if host := cluster.Spec.ControlPlaneEndpoint.Host; host != "" && host != reservation.Address {
		return r.unusable(s, fmt.Errorf("spec.controlPlaneEndpoint.host: %s is not the address of reservation %s, which is %s: leave it out", host, id, reservation.Address))
	}
	r.accepted(s)
	reserved(cluster, reservation)
	return true, ctrl.Result{}, nil
}

// unusable reports a reservation that the user has to change, or name another one for.
func (r *Reconciler) unusable(s *scope, err error) (ready bool, _ ctrl.Result, _ error) {
	cluster := s.packetCluster
	r.accepted(s)
	reason := infrav1.ElasticIPUnusableReason
	var named *elasticips.UnusableError
	if errors.As(err, &named) && named.Missing {
		reason = infrav1.ElasticIPNotFoundReason
	}
	set(cluster, infrav1.ElasticIPReadyCondition, false, reason, err.Error())
	r.Recorder.Eventf(cluster, nil, "Warning", reason, "Reserve", "%.900s", err.Error())
	return false, ctrl.Result{RequeueAfter: refusedRetry}, nil
}

// unclaimed tells whether another cluster named the same reservation before this one did.
func (r *Reconciler) unclaimed(ctx context.Context, cluster *infrav1.PacketCluster) error {
	all := &infrav1.PacketClusterList{}
	if err := r.Client.List(ctx, all); err != nil {
		return fmt.Errorf("listing PacketClusters: %w", err)
	}
	id := cluster.Spec.ElasticIP.ReservationID
	for n := range all.Items {
		other := &all.Items[n]
		// One that has it already came first, whatever the clocks say.
		if has := other.Spec.ControlPlaneEndpoint.Host != ""; other.UID == cluster.UID ||
			!strings.EqualFold(other.Spec.ElasticIP.ReservationID, id) || !has && !first(other, cluster) {
			continue
		}
		return &elasticips.UnusableError{ReservationID: id, Why: fmt.Sprintf("belongs to PacketCluster %s: name another one", client.ObjectKeyFromObject(other))}
	}
	return nil
}

// first tells which of two clusters came first. Of two that were made in the same second, the name decides.
func first(a, b *infrav1.PacketCluster) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.Namespace+"/"+a.Name < b.Namespace+"/"+b.Name
}

// reserved makes a reservation the endpoint.
func reserved(cluster *infrav1.PacketCluster, reservation *packet.IPReservation) {
	elasticIP := infrav1.PacketElasticIPStatus{ReservationID: reservation.ID, Address: reservation.Address}
	if cluster.Status.ElasticIP != nil {
		// That is another controller's to write.
		elasticIP.AssignedTo = cluster.Status.ElasticIP.AssignedTo
	}
	cluster.Status.ElasticIP = &elasticIP
	cluster.Spec.ControlPlaneEndpoint.Host = reservation.Address
	setPort(cluster)
	set(cluster, infrav1.ElasticIPReadyCondition, true, infrav1.ElasticIPReservedReason, "")
}

// provided accepts the endpoint of the user.
func provided(cluster *infrav1.PacketCluster) {
	setPort(cluster)
	set(cluster, infrav1.ElasticIPReadyCondition, true, infrav1.ElasticIPProvidedReason, "")
}

func setPort(cluster *infrav1.PacketCluster) {
	if cluster.Spec.ControlPlaneEndpoint.Port == 0 {
		cluster.Spec.ControlPlaneEndpoint.Port = apiServerPort
	}
}

// accepted tells that the Packet API took the token.
func (r *Reconciler) accepted(s *scope) {
	set(s.packetCluster, infrav1.CredentialsAvailableCondition, true, infrav1.CredentialsAvailableReason, "")
}
