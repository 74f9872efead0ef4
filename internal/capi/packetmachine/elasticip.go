package packetmachine

import (
	"context"
	"fmt"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"

	"sigs.k8s.io/cluster-api/util"
	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/internal/capi/endpoint"
	"github.com/packetyard/packetyard/pkg/packet"
)

// assignElasticIP gives the cluster's elastic IP to the first control plane device, because kubeadm waits for the endpoint,
// and reports which device has it. Moving it later is the business of package endpoint. It returns false if it should be
// tried again soon.
func (r *Reconciler) assignElasticIP(ctx context.Context, s *scope, device *packet.Device) bool {
	machine := s.packetMachine
	if !util.IsControlPlaneMachine(s.machine) {
		return true
	}
	elasticIP := s.packetCluster.Status.ElasticIP
	if vip := s.packetCluster.Spec.VIPManager; elasticIP == nil || vip != "" && vip != infrav1.VIPManagerCPEM {
		message := "the control plane endpoint is not an elastic IP of this cluster"
		if elasticIP != nil {
			message = "kube-vip announces the control plane endpoint"
		}
		set(machine, infrav1.ElasticIPAssignedCondition, false, infrav1.ElasticIPNotNeededReason, message)
		return true
	}
	had := devices.HasAddress(device, elasticIP.Address)
	if !had && (devices.Leaving(device) || device.State == packet.StateFailed) {
		return true
	}
	others, err := r.clusterDevices(ctx, s, had)
	if err != nil {
		r.assignmentFailed(ctx, s, elasticIP.Address, fmt.Errorf("looking for the device that has it: %w", err))
		return false
	}
	address := endpoint.Address{ReservationID: elasticIP.ReservationID, IP: elasticIP.Address}
	holder, claimed, err := endpoint.Claim(ctx, s.account.Client, address, device, others, isTrue(s.cluster.Status.Initialization.ControlPlaneInitialized))
	switch {
	case err != nil:
		r.assignmentFailed(ctx, s, elasticIP.Address, err)
		return false
	case holder == "":
		set(machine, infrav1.ElasticIPAssignedCondition, false, infrav1.ElasticIPUnassignedReason,
			fmt.Sprintf("no device has elastic IP %s: the first whose API server answers gets it", elasticIP.Address))
	case strings.EqualFold(holder, device.ID):
		if claimed {
			ctrl.LoggerFrom(ctx).Info("Assigned elastic IP", "device", device.ID, "address", elasticIP.Address)
			r.Recorder.Eventf(machine, nil, "Normal", "ElasticIPAssigned", "Assign", "Assigned elastic IP %s to device %s", elasticIP.Address, device.ID)
		}
		set(machine, infrav1.ElasticIPAssignedCondition, true, infrav1.ElasticIPAssignedReason, "")
	default:
		set(machine, infrav1.ElasticIPAssignedCondition, false, infrav1.ElasticIPAssignedElsewhereReason,
			fmt.Sprintf("elastic IP %s is assigned to device %s", elasticIP.Address, holder))
	}
	return true
}

// clusterDevices are the devices of the cluster, from a listing that is as new as the machine's own.
func (r *Reconciler) clusterDevices(ctx context.Context, s *scope, had bool) ([]*packet.Device, error) {
	switch {
	case had:
		return nil, nil
	case settled(s):
		return s.account.Devices.OfClusterSince(ctx, s.packetMachine.Namespace, s.clusterName, r.Now().Add(-r.ResyncInterval))
	default:
		return s.account.Devices.OfCluster(ctx, s.packetMachine.Namespace, s.clusterName)
	}
}

func (r *Reconciler) assignmentFailed(ctx context.Context, s *scope, address string, err error) {
	message := fmt.Sprintf("assigning elastic IP %s: %s", address, devices.Words(err))
	if conditions.GetMessage(s.packetMachine, infrav1.ElasticIPAssignedCondition) != message {
		ctrl.LoggerFrom(ctx).Error(err, "Assigning the elastic IP failed, trying again", "address", address)
	}
	set(s.packetMachine, infrav1.ElasticIPAssignedCondition, false, infrav1.ElasticIPAssignmentFailedReason, message)
}
