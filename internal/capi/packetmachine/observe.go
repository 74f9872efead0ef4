package packetmachine

import (
	"context"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

// spotNotice is how long before a spot instance is taken away its machine stops being Ready. Packet announces it two
// minutes ahead; an end that a person set for next week is no reason to replace the machine now.
const spotNotice = 15 * time.Minute

// observe copies what the device says into the status.
func (r *Reconciler) observe(ctx context.Context, machine *infrav1.PacketMachine, device *packet.Device) {
	machine.Status.InstanceStatus = string(device.State)
	machine.Status.Addresses = devices.Addresses(device)
	machine.Status.FailureDomain = devices.Where(device)
	if device.State == packet.StateActive {
		provisioned := true
		machine.Status.Initialization.Provisioned = &provisioned
	}
	switch {
	case r.outbid(device):
		r.complain(ctx, machine, infrav1.DeviceReadyCondition, infrav1.DeviceSpotTerminatingReason, fmt.Sprintf(
			"device %s was outbid on the spot market and is taken away at %s: let a MachineHealthCheck replace the machine, or make one with a higher spec.spot.maxPrice",
			device.ID, device.TerminationTime.UTC().Format(time.RFC3339)))
	case device.State == packet.StateActive:
		set(machine, infrav1.DeviceReadyCondition, true, infrav1.DeviceActiveReason, "")
	case r.late(ctx, machine, device):
	case devices.Installing(device):
		set(machine, infrav1.DeviceReadyCondition, false, infrav1.DeviceProvisioningReason, devices.Progress(device))
	case device.State == packet.StateFailed:
		r.complain(ctx, machine, infrav1.DeviceReadyCondition, infrav1.DeviceFailedReason,
			devices.Progress(device)+": delete the Machine, or let a MachineHealthCheck do so, to have another device")
	default:
		set(machine, infrav1.DeviceReadyCondition, false, infrav1.DeviceNotActiveReason, fmt.Sprintf("device is %s", device.State))
	}
}

// outbid tells whether a spot instance is about to be taken away.
func (r *Reconciler) outbid(device *packet.Device) bool {
	return device.SpotInstance && device.TerminationTime != nil && device.TerminationTime.Before(r.Now().Add(spotNotice))
}

// gone reports a device that existed and does not any more. It is not replaced: its node, its data and its address went
// with it, so that is for whoever owns the Machine to decide, for example a MachineHealthCheck.
func (r *Reconciler) gone(ctx context.Context, s *scope, id devices.Identity, found devices.Found) (ctrl.Result, error) {
	machine := s.packetMachine
	machine.Status.InstanceStatus = string(packet.StateDeleted)
	if !isGone(machine) {
		why := ""
		if conditions.GetReason(machine, infrav1.DeviceReadyCondition) == infrav1.DeviceSpotTerminatingReason {
			why = ", because it was outbid on the spot market"
		}
		r.complain(ctx, machine, infrav1.DeviceReadyCondition, infrav1.DeviceNotFoundReason, fmt.Sprintf(
			"device %s does not exist any more%s: delete the Machine, or let a MachineHealthCheck do so, to have another one", id.DeviceID, why))
	}
	return ctrl.Result{RequeueAfter: r.next(found.Taken)}, nil
}
