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
	"github.com/packetyard/packetyard/pkg/packet"
)

// assignElasticIP points the cluster's elastic IP at a control plane device, unless it points at another one that lives:
// moving it between living devices is the business of what runs on them. It returns false if it should be tried again soon.
func (r *Reconciler) assignElasticIP(ctx context.Context, s *scope, device *packet.Device) bool {
	machine := s.packetMachine
	if !util.IsControlPlaneMachine(s.machine) {
		return true
	}
	elasticIP := s.packetCluster.Status.ElasticIP
	if elasticIP == nil {
		set(machine, infrav1.ElasticIPAssignedCondition, false, infrav1.ElasticIPNotNeededReason,
			"the control plane endpoint is not an elastic IP of this cluster")
		return true
	}
	if devices.HasAddress(device, elasticIP.Address) {
		set(machine, infrav1.ElasticIPAssignedCondition, true, infrav1.ElasticIPAssignedReason, "")
		return true
	}
	if devices.Leaving(device) || device.State == packet.StateFailed {
		return true
	}
	others, err := s.account.Devices.OfCluster(ctx, machine.Namespace, s.clusterName)
	if err != nil {
		r.assignmentFailed(ctx, s, elasticIP.Address, fmt.Errorf("looking for the device that has it: %w", err))
		return false
	}
	for _, other := range others {
		if !strings.EqualFold(other.ID, device.ID) && !devices.Leaving(other) && devices.HasAddress(other, elasticIP.Address) {
			set(machine, infrav1.ElasticIPAssignedCondition, false, infrav1.ElasticIPAssignedElsewhereReason,
				fmt.Sprintf("elastic IP %s is assigned to device %s", elasticIP.Address, other.ID))
			return true
		}
	}
	if _, err := s.account.Client.AssignIP(ctx, device.ID, elasticIP.Address); err != nil {
		r.assignmentFailed(ctx, s, elasticIP.Address, err)
		return false
	}
	ctrl.LoggerFrom(ctx).Info("Assigned elastic IP", "device", device.ID, "address", elasticIP.Address)
	r.Recorder.Eventf(machine, nil, "Normal", "ElasticIPAssigned", "Assign", "Assigned elastic IP %s to device %s", elasticIP.Address, device.ID)
	set(machine, infrav1.ElasticIPAssignedCondition, true, infrav1.ElasticIPAssignedReason, "")
	return true
}

func (r *Reconciler) assignmentFailed(ctx context.Context, s *scope, address string, err error) {
	message := fmt.Sprintf("assigning elastic IP %s: %v", address, err)
	if conditions.GetMessage(s.packetMachine, infrav1.ElasticIPAssignedCondition) != message {
		ctrl.LoggerFrom(ctx).Error(err, "Assigning the elastic IP failed, trying again", "address", address)
	}
	set(s.packetMachine, infrav1.ElasticIPAssignedCondition, false, infrav1.ElasticIPAssignmentFailedReason, message)
}
