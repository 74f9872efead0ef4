package packetmachine

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sigs.k8s.io/cluster-api/util"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/cluster-api/util/finalizers"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/internal/capi/writeback"
	"github.com/packetyard/packetyard/pkg/packet"
)

func (r *Reconciler) normal(ctx context.Context, s *scope) (ctrl.Result, error) {
	if s.packetMachine.Spec.ProviderID == "" && waiting(s) {
		// What is waited for is watched.
		return ctrl.Result{}, nil
	}
	id, err := s.identity()
	if err != nil {
		set(s.packetMachine, infrav1.DeviceReadyCondition, false, infrav1.DeviceNotFoundReason, err.Error())
		return ctrl.Result{}, nil
	}
	if done, result, err := r.findAccount(ctx, s); done {
		return result, err
	}
	// The finalizer guards the device, so it comes just before the first call that can make one: a machine that only ever
	// waited can go at once, also without credentials.
	if added, err := finalizers.EnsureFinalizer(ctx, r.Client, s.packetMachine, infrav1.MachineFinalizer); err != nil {
		return ctrl.Result{}, fmt.Errorf("adding the finalizer: %w", err)
	} else if added {
		if s.writer, err = writeback.New(s.packetMachine); err != nil {
			return ctrl.Result{}, err
		}
	}

	device, surplus, err := s.account.Devices.Find(ctx, id)
	if err != nil {
		return r.apiFailure(ctx, s, infrav1.DeviceAPIErrorReason, err)
	}
	set(s.packetMachine, infrav1.CredentialsAvailableCondition, true, infrav1.CredentialsAvailableReason, "")
	if device == nil && id.DeviceID != "" {
		return r.gone(ctx, s, id)
	}
	if device == nil {
		if device, err = r.create(ctx, s, id); err != nil {
			var invalid *invalidError
			if errors.As(err, &invalid) {
				set(s.packetMachine, infrav1.DeviceReadyCondition, false, infrav1.DeviceCreateFailedReason, err.Error())
				return ctrl.Result{RequeueAfter: refusedRetry}, nil
			}
			return r.apiFailure(ctx, s, infrav1.DeviceCreateFailedReason, err)
		}
	}
	// From here on the device is on record, whatever else fails: the deferred patch writes it.
	s.packetMachine.Spec.ProviderID = packet.ProviderID(device.ID)
	observe(s.packetMachine, device)
	if err := r.deleteSurplus(ctx, s, surplus); err != nil {
		return r.apiFailure(ctx, s, infrav1.DeviceAPIErrorReason, err)
	}
	settled := r.assignElasticIP(ctx, s, device)
	bootstrapped, err := r.checkBootstrap(ctx, s, device)
	if err != nil {
		return r.apiFailure(ctx, s, infrav1.DeviceAPIErrorReason, err)
	}
	switch {
	case devices.Installing(device), !settled:
		return ctrl.Result{RequeueAfter: r.PollInterval}, nil
	case !bootstrapped:
		return ctrl.Result{RequeueAfter: 2 * r.PollInterval}, nil
	default:
		return ctrl.Result{RequeueAfter: r.ResyncInterval}, nil
	}
}

// waiting tells whether something is missing that a device cannot be asked for without, and says what in a condition.
func waiting(s *scope) bool {
	machine := s.packetMachine
	switch {
	case !isTrue(s.cluster.Status.Initialization.InfrastructureProvisioned):
		set(machine, infrav1.DeviceReadyCondition, false, infrav1.DeviceWaitingForClusterInfrastructureReason,
			"waiting for the cluster's infrastructure")
	case s.machine.Spec.Bootstrap.DataSecretName != nil:
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

// invalidError is a mistake in the user's objects that was found before the Packet API was asked.
type invalidError struct{ text string }

func (e *invalidError) Error() string { return e.text }

func (r *Reconciler) create(ctx context.Context, s *scope, id devices.Identity) (*packet.Device, error) {
	place, err := place(s)
	if err != nil {
		return nil, err
	}
	userData, err := r.userData(ctx, s)
	if err != nil {
		return nil, err
	}
	device, err := devices.Create(ctx, s.account.Client, s.account.ProjectID, devices.Request{
		Identity:     id,
		Hostname:     s.packetMachine.Name,
		ControlPlane: util.IsControlPlaneMachine(s.machine),
		Place:        place,
		Spec:         s.packetMachine.Spec,
		UserData:     userData,
	})
	if err != nil {
		return nil, err
	}
	ctrl.LoggerFrom(ctx).Info("Created device", "device", device.ID, "place", place.String())
	r.Recorder.Eventf(s.packetMachine, nil, "Normal", "DeviceCreated", "Create", "Created device %s", device.ID)
	return device, nil
}

// place is where the device goes: what the machine says, else the failure domain that Cluster API chose, else the place
// of the cluster.
func place(s *scope) (devices.Place, error) {
	spec, cluster := s.packetMachine.Spec, s.packetCluster.Spec
	switch {
	case spec.Metro != "" || spec.Facility != "":
		return devices.Place{Metro: spec.Metro, Facility: spec.Facility}, nil
	case s.machine.Spec.FailureDomain != "":
		return devices.PlaceOf(s.machine.Spec.FailureDomain), nil
	case cluster.Metro != "" || cluster.Facility != "":
		return devices.Place{Metro: cluster.Metro, Facility: cluster.Facility}, nil
	default:
		return devices.Place{}, &invalidError{fmt.Sprintf(
			"spec.metro: neither PacketMachine %s nor PacketCluster %s has a metro or a facility", s.packetMachine.Name, s.packetCluster.Name)}
	}
}

func (r *Reconciler) userData(ctx context.Context, s *scope) ([]byte, error) {
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: s.packetMachine.Namespace, Name: *s.machine.Spec.Bootstrap.DataSecretName}
	if err := r.Client.Get(ctx, key, secret); err != nil {
		return nil, fmt.Errorf("reading bootstrap data from Secret %s: %w", key, err)
	}
	data, ok := secret.Data["value"]
	if !ok || len(data) == 0 {
		return nil, &invalidError{fmt.Sprintf("Secret %s has no bootstrap data under the key \"value\"", key)}
	}
	return data, nil
}

// observe copies what the device says into the status.
func observe(machine *infrav1.PacketMachine, device *packet.Device) {
	machine.Status.InstanceStatus = string(device.State)
	machine.Status.Addresses = devices.Addresses(device)
	machine.Status.FailureDomain = devices.Where(device)
	switch {
	case device.State == packet.StateActive:
		provisioned := true
		machine.Status.Initialization.Provisioned = &provisioned
		set(machine, infrav1.DeviceReadyCondition, true, infrav1.DeviceActiveReason, "")
	case devices.Installing(device):
		set(machine, infrav1.DeviceReadyCondition, false, infrav1.DeviceProvisioningReason, devices.Progress(device))
	case device.State == packet.StateFailed:
		set(machine, infrav1.DeviceReadyCondition, false, infrav1.DeviceFailedReason, devices.Progress(device))
	default:
		set(machine, infrav1.DeviceReadyCondition, false, infrav1.DeviceNotActiveReason, fmt.Sprintf("device is %s", device.State))
	}
}

// gone reports a device that existed and does not any more. It is not replaced: its node, its data and its address went
// with it, so that is for whoever owns the Machine to decide, for example a MachineHealthCheck.
func (r *Reconciler) gone(ctx context.Context, s *scope, id devices.Identity) (ctrl.Result, error) {
	message := fmt.Sprintf("device %s does not exist any more", id.DeviceID)
	if conditions.GetReason(s.packetMachine, infrav1.DeviceReadyCondition) != infrav1.DeviceNotFoundReason {
		ctrl.LoggerFrom(ctx).Info("The device does not exist any more", "device", id.DeviceID)
		r.Recorder.Eventf(s.packetMachine, nil, "Warning", infrav1.DeviceNotFoundReason, "Observe", "%s", message)
	}
	set(s.packetMachine, infrav1.DeviceReadyCondition, false, infrav1.DeviceNotFoundReason, message)
	return ctrl.Result{RequeueAfter: r.ResyncInterval}, nil
}

// deleteSurplus deletes devices that carry the machine's tags and are not its device. They come to be only when the answer
// to a creation is lost and the device is listed later than the next look, and nobody else would ever delete them.
func (r *Reconciler) deleteSurplus(ctx context.Context, s *scope, surplus []*packet.Device) error {
	for _, device := range surplus {
		if devices.Leaving(device) {
			continue
		}
		ctrl.LoggerFrom(ctx).Info("Deleting a second device of the machine", "device", device.ID)
		r.Recorder.Eventf(s.packetMachine, nil, "Warning", "SurplusDeviceDeleted", "Delete", "Deleting device %s, which has the tags of this machine", device.ID)
		if err := s.account.Client.DeleteDevice(ctx, device.ID, true); err != nil && !packet.IsNotFound(err) {
			return fmt.Errorf("deleting device %s, which nobody uses: %w", device.ID, err)
		}
	}
	return nil
}

// isAnswer tells an answer of the Packet API from a failure of ours, such as a Secret that could not be read.
func isAnswer(err error) bool {
	var answer *packet.Error
	return errors.As(err, &answer)
}

// young tells whether a device was made recently enough that its user data may still be running.
func (r *Reconciler) young(device *packet.Device) bool {
	return device.CreatedAt == nil || r.Now().Sub(device.CreatedAt.Time) < bootstrapWatch
}
