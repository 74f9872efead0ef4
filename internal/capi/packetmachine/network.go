package packetmachine

import (
	"context"
	"errors"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"sigs.k8s.io/cluster-api/util"
	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/internal/capi/networks"
	"github.com/packetyard/packetyard/pkg/packet"
)

// setUpNetwork makes the ports of a device what its machine says, once the device is active: before, the Packet API changes
// none. It returns false if it should be tried again soon.
func (r *Reconciler) setUpNetwork(ctx context.Context, s *scope, device *packet.Device) bool {
	machine, network := s.packetMachine, s.packetMachine.Spec.Network
	if network.Type == "" && len(network.VLANs) == 0 {
		return true
	}
	if device.State != packet.StateActive {
		if !conditions.Has(machine, infrav1.NetworkReadyCondition) {
			conditions.Set(machine, metav1.Condition{
				Type: infrav1.NetworkReadyCondition, Status: metav1.ConditionUnknown, Reason: infrav1.NetworkWaitingForDeviceReason,
				Message: "the ports are set up once the device is active",
			})
		}
		return true
	}
	done, err := s.account.Networks.SetUp(ctx, device, network)
	if len(done) > 0 {
		ctrl.LoggerFrom(ctx).Info("Changed ports", "device", device.ID, "changes", done)
		r.Recorder.Eventf(machine, nil, "Normal", "NetworkChanged", "SetUp", "Changed ports of device %s: %s", device.ID, note(strings.Join(done, ", ")))
	}
	var (
		vlan *networks.UnknownVLANError
		port *networks.UnknownPortError
	)
	switch {
	case err == nil:
		set(machine, infrav1.NetworkReadyCondition, true, infrav1.NetworkConfiguredReason, "")
		return true
	case errors.As(err, &vlan):
		r.complain(ctx, machine, infrav1.NetworkReadyCondition, infrav1.NetworkVLANNotFoundReason, err.Error())
		return true
	case errors.As(err, &port):
		r.complain(ctx, machine, infrav1.NetworkReadyCondition, infrav1.NetworkPortNotFoundReason, err.Error())
		return true
	case packet.IsTransient(err):
		if !conditions.IsTrue(machine, infrav1.NetworkReadyCondition) {
			set(machine, infrav1.NetworkReadyCondition, false, infrav1.NetworkConfiguringReason, "the Packet API cannot be asked, trying again: "+devices.Words(err))
		}
		return false
	default:
		r.complain(ctx, machine, infrav1.NetworkReadyCondition, infrav1.NetworkConfigurationFailedReason,
			devices.Words(err)+": correct spec.network in a new machine, or what is in its way in the Packet API; it is tried again")
		return true
	}
}

// openBGPSession gives a control plane's device the session by which kube-vip announces the endpoint. It returns false if it
// should be tried again soon.
func (r *Reconciler) openBGPSession(ctx context.Context, s *scope, device *packet.Device) bool {
	machine := s.packetMachine
	if s.packetCluster.Spec.VIPManager != infrav1.VIPManagerKubeVIP || !util.IsControlPlaneMachine(s.machine) || device.State != packet.StateActive {
		return true
	}
	created, err := s.account.Networks.EnsureBGPSession(ctx, device.ID)
	switch {
	case err == nil:
		if created {
			ctrl.LoggerFrom(ctx).Info("Created BGP session", "device", device.ID)
			r.Recorder.Eventf(machine, nil, "Normal", "BGPSessionCreated", "Create", "Created a BGP session of device %s", device.ID)
		}
		set(machine, infrav1.BGPReadyCondition, true, infrav1.BGPSessionCreatedReason, "")
		return true
	case packet.IsTransient(err):
		if !conditions.IsTrue(machine, infrav1.BGPReadyCondition) {
			set(machine, infrav1.BGPReadyCondition, false, infrav1.BGPSessionFailedReason, "the Packet API cannot be asked, trying again: "+devices.Words(err))
		}
		return false
	default:
		r.complain(ctx, machine, infrav1.BGPReadyCondition, infrav1.BGPSessionFailedReason,
			devices.Words(err)+": see the condition BGPReady of the PacketCluster; it is tried again")
		return false
	}
}
