package packetcluster

import (
	"context"
	"fmt"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// delete gives the elastic IP back once no machine of the cluster is left. Machines come first, because they find their
// project by way of the PacketCluster, and because an address is not given back while a device has it.
func (r *Reconciler) delete(ctx context.Context, s *scope) (ctrl.Result, error) {
	cluster := s.packetCluster
	if !controllerutil.ContainsFinalizer(cluster, infrav1.ClusterFinalizer) {
		return ctrl.Result{}, nil
	}
	machines := &infrav1.PacketMachineList{}
	if err := r.Client.List(ctx, machines, client.InNamespace(cluster.Namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: s.clusterName}); err != nil {
		return ctrl.Result{}, fmt.Errorf("listing the cluster's PacketMachines: %w", err)
	}
	if len(machines.Items) > 0 {
		var names []string
		for n := range machines.Items {
			names = append(names, machines.Items[n].Name)
		}
		set(cluster, infrav1.ElasticIPReadyCondition, false, infrav1.ElasticIPDeletingReason,
			"waiting until the cluster's machines are gone: "+shorten(names))
		return ctrl.Result{RequeueAfter: r.PollInterval}, nil
	}
	if keeps(cluster.Spec) {
		return r.retain(ctx, s)
	}
	if done, result, err := r.findAccount(ctx, s); done {
		return result, err
	}
	var recorded string
	if cluster.Status.ElasticIP != nil {
		recorded = cluster.Status.ElasticIP.ReservationID
	}
	remaining, err := s.account.ElasticIPs.Release(ctx, s.owner(), recorded)
	if err != nil {
		return r.apiFailure(ctx, s, infrav1.ElasticIPDeletingReason, err)
	}
	r.accepted(s)
	if len(remaining) > 0 {
		ctrl.LoggerFrom(ctx).Info("Releasing elastic IP", "addresses", remaining)
		set(cluster, infrav1.ElasticIPReadyCondition, false, infrav1.ElasticIPDeletingReason,
			"waiting until the elastic IP is released: "+shorten(remaining))
		return ctrl.Result{RequeueAfter: r.PollInterval}, nil
	}
	r.Recorder.Eventf(cluster, nil, "Normal", "ElasticIPReleased", "Delete", "No elastic IP of the cluster is left")
	controllerutil.RemoveFinalizer(cluster, infrav1.ClusterFinalizer)
	return ctrl.Result{}, nil
}

// keeps tells whether there is nothing to give back, which takes no credentials either.
func keeps(spec infrav1.PacketClusterSpec) bool {
	return spec.ElasticIP.ReclaimPolicy == infrav1.ElasticIPReclaimRetain ||
		spec.ElasticIP.ReservationID != "" || spec.VIPManager == infrav1.VIPManagerExternal
}

// retain lets the PacketCluster go and leaves its elastic IP in the project, with its tags: a cluster of the same name in the
// same namespace finds it by them.
func (r *Reconciler) retain(ctx context.Context, s *scope) (ctrl.Result, error) {
	cluster := s.packetCluster
	if elasticIP := cluster.Status.ElasticIP; elasticIP != nil {
		ctrl.LoggerFrom(ctx).Info("Keeping elastic IP", "address", elasticIP.Address, "reservation", elasticIP.ReservationID)
		r.Recorder.Eventf(cluster, nil, "Normal", "ElasticIPRetained", "Delete", "Elastic IP %s stays: reservation %s", elasticIP.Address, elasticIP.ReservationID)
	}
	controllerutil.RemoveFinalizer(cluster, infrav1.ClusterFinalizer)
	return ctrl.Result{}, nil
}

// shorten lists the first few of many names.
func shorten(names []string) string {
	const shown = 5
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}
