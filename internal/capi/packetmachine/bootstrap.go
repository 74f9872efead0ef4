package packetmachine

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sigs.k8s.io/cluster-api/util"
	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

// bootstrapSecret is the name of the Secret with the bootstrap data; empty if there is none yet. The Machines of a
// MachinePool have none of their own, but that of the pool; shared tells so. Which it was when the machine was made is told
// by its PacketMachine.
func (r *Reconciler) bootstrapSecret(ctx context.Context, s *scope) (name string, shared bool, err error) {
	if name := s.machine.Spec.Bootstrap.DataSecretName; name != nil && *name != "" {
		return *name, false, nil
	}
	if name := s.packetMachine.Annotations[infrav1.PoolBootstrapDataSecretAnnotation]; name != "" {
		return name, true, nil
	}
	pool, err := util.GetOwnerMachinePool(ctx, r.Client, s.machine.ObjectMeta)
	if client.IgnoreNotFound(err) != nil {
		return "", false, fmt.Errorf("reading the MachinePool: %w", err)
	}
	if pool == nil {
		return "", false, nil
	}
	if name := pool.Spec.Template.Spec.Bootstrap.DataSecretName; name != nil {
		return *name, true, nil
	}
	return "", true, nil
}

// bootstrapData reads the user data. It is a secret.
func (r *Reconciler) bootstrapData(ctx context.Context, s *scope, name string) ([]byte, error) {
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: s.packetMachine.Namespace, Name: name}
	switch err := r.Client.Get(ctx, key, secret); {
	case apierrors.IsNotFound(err):
		return nil, &invalidError{infrav1.DeviceBootstrapDataInvalidReason, fmt.Sprintf(
			"Secret %s with the bootstrap data does not exist: delete the Machine to have it made anew", key)}
	case err != nil:
		return nil, fmt.Errorf("reading bootstrap data from Secret %s: %w", key, err)
	}
	data := secret.Data["value"]
	if len(data) == 0 {
		return nil, &invalidError{infrav1.DeviceBootstrapDataInvalidReason, fmt.Sprintf(
			"Secret %s has no bootstrap data under the key \"value\": the bootstrap provider has to write it", key)}
	}
	return data, nil
}

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
	since, timeout := devices.InstalledSince(device), r.Timeouts.of(machine).Bootstrap
	late := passed(since, timeout, r.Now())
	ask := s.account.Reports.Bootstrap
	if late && !conditions.IsFalse(machine, infrav1.BootstrapSucceededCondition) {
		// A machine is not called late because an event was missed.
		ask = s.account.Reports.Ask
	}
	state, message, err := ask(ctx, device)
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
		r.complain(ctx, machine, infrav1.BootstrapSucceededCondition, infrav1.BootstrapFailedReason,
			fmt.Sprintf("the user data of device %s failed:\n%s", device.ID, message))
		return true, nil
	}
	if late {
		r.complain(ctx, machine, infrav1.BootstrapSucceededCondition, infrav1.BootstrapTimedOutReason, fmt.Sprintf(
			"device %s is active since %s and did not become a node within the %s that spec.timeouts.bootstrap or the manager allows: its serial console tells why; delete the Machine, or let a MachineHealthCheck do so, to have another device",
			device.ID, since.UTC().Format(time.RFC3339), timeout))
		return true, nil
	}
	conditions.Set(machine, metav1.Condition{
		Type: infrav1.BootstrapSucceededCondition, Status: metav1.ConditionUnknown, Reason: infrav1.BootstrapRunningReason,
		Message: "the user data has not reported its end yet",
	})
	return !r.young(device), nil
}

// booting tells whether a machine may still be on its way to a node.
func booting(s *scope) bool {
	return !s.machine.Status.NodeRef.IsDefined() && !conditions.IsTrue(s.packetMachine, infrav1.BootstrapSucceededCondition)
}

// young tells whether a device was made recently enough that its user data may still be running.
func (r *Reconciler) young(device *packet.Device) bool {
	return device.CreatedAt == nil || r.Now().Sub(device.CreatedAt.Time) < bootstrapWatch
}

// waiting tells whether something is missing that a device cannot be asked for without, and says what in a condition.
func waiting(s *scope, secret string) bool {
	machine := s.packetMachine
	switch {
	case !isTrue(s.cluster.Status.Initialization.InfrastructureProvisioned):
		set(machine, infrav1.DeviceReadyCondition, false, infrav1.DeviceWaitingForClusterInfrastructureReason,
			"waiting for the cluster's infrastructure")
	case secret != "":
		return false
	case !util.IsControlPlaneMachine(s.machine) && !isTrue(s.cluster.Status.Initialization.ControlPlaneInitialized):
		// This is a reason of its own, because its end makes Cluster API look at the Machine again, and that makes the
		// bootstrap provider look: left alone, it comes back for a waiting worker every 30 s only.
		set(machine, infrav1.DeviceReadyCondition, false, infrav1.DeviceWaitingForControlPlaneReason,
			"waiting for the control plane to be initialised")
	default:
		set(machine, infrav1.DeviceReadyCondition, false, infrav1.DeviceWaitingForBootstrapDataReason,
			"waiting for bootstrap data")
	}
	return true
}

// waitingResult is when to look again at what is waited for. All of it is watched, but the bootstrap data of MachinePools.
func waitingResult(shared bool) ctrl.Result {
	if shared {
		return ctrl.Result{RequeueAfter: missingRetry}
	}
	return ctrl.Result{}
}
