package packetmachine

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

// checkBootstrap asks how the user data of a device did, until there is a node or an end. done is true if there is no reason
// to ask again soon.
func (r *Reconciler) checkBootstrap(ctx context.Context, s *scope, device *packet.Device) (done bool, err error) {
	machine := s.packetMachine
	if s.machine.Status.NodeRef.IsDefined() {
		// A node is the proof, whatever was said before.
		set(machine, infrav1.BootstrapSucceededCondition, true, infrav1.BootstrapSucceededReason, "")
		return true, nil
	}
	if conditions.IsTrue(machine, infrav1.BootstrapSucceededCondition) || device.State != packet.StateActive {
		// A device that is not active runs no user data; what was heard before stays.
		return true, nil
	}
	state, message, err := devices.Bootstrap(ctx, s.account.Client, device.ID)
	if packet.IsNotFound(err) {
		// It went after it was listed. The next look says so.
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the events of device %s: %w", device.ID, err)
	}
	switch state {
	case devices.BootstrapSucceeded:
		set(machine, infrav1.BootstrapSucceededCondition, true, infrav1.BootstrapSucceededReason, "")
		return true, nil
	case devices.BootstrapFailed:
		text := fmt.Sprintf("the user data of device %s failed:\n%s", device.ID, message)
		if conditions.GetReason(machine, infrav1.BootstrapSucceededCondition) != infrav1.BootstrapFailedReason {
			ctrl.LoggerFrom(ctx).Info("The user data of the device failed", "device", device.ID)
			r.Recorder.Eventf(machine, nil, "Warning", infrav1.BootstrapFailedReason, "Observe", "%s", note(text))
		}
		set(machine, infrav1.BootstrapSucceededCondition, false, infrav1.BootstrapFailedReason, text)
		return true, nil
	default:
		conditions.Set(machine, metav1.Condition{
			Type: infrav1.BootstrapSucceededCondition, Status: metav1.ConditionUnknown, Reason: infrav1.BootstrapRunningReason,
			Message: "the user data has not reported its end yet",
		})
		return !r.young(device), nil
	}
}
