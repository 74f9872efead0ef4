package packetremediation

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

// findDevice reads the device of the machine as it is now; nil if it has none, or none that will stay. done means that nothing
// can be known at present, and that the result says when to try again.
func (r *Reconciler) findDevice(ctx context.Context, s *scope) (device *packet.Device, done bool, result ctrl.Result, err error) {
	if s.packetMachine == nil || s.packetMachine.Spec.ProviderID == "" {
		return nil, false, ctrl.Result{}, nil
	}
	id, err := packet.DeviceID(s.packetMachine.Spec.ProviderID)
	if err != nil {
		result, err := r.write(ctx, s, 0, false, infrav1.RemediationNoDeviceReason, fmt.Sprintf("spec.providerID of PacketMachine %s is %q: %v",
			s.packetMachine.Name, s.packetMachine.Spec.ProviderID, err))
		return nil, true, result, err
	}
	s.account, err = r.Accounts.AccountOf(ctx, s.packetCluster)
	var missing *credentials.MissingError
	if errors.As(err, &missing) {
		result, err := r.write(ctx, s, refusedRetry, false, infrav1.CredentialsMissingReason, missing.Error())
		return nil, true, result, err
	}
	if err != nil {
		return nil, true, ctrl.Result{}, err
	}
	device, err = s.account.Client.Device(ctx, id)
	if packet.IsNotFound(err) || packet.IsForbidden(err) {
		// The Packet API says either of a device that is gone. That it says so of one alone proves little, so the listing of the
		// project decides; it is refused altogether where it is the token that is wrong.
		found, listErr := s.account.Devices.Find(ctx, devices.Identity{
			Namespace: s.packetMachine.Namespace, Cluster: s.machine.Spec.ClusterName, Machine: s.packetMachine.Name, DeviceID: id,
		})
		if listErr == nil && found.Device == nil {
			return nil, false, ctrl.Result{}, nil
		}
		if listErr != nil {
			err = listErr
		}
	}
	if err != nil {
		result, err := r.failed(ctx, s, fmt.Errorf("reading device %s: %w", id, err))
		return nil, true, result, err
	}
	if devices.Leaving(device) {
		return nil, false, ctrl.Result{}, nil
	}
	return device, false, ctrl.Result{}, nil
}

// failed reports an error of the Packet API that says nothing about the step, and decides when to try again.
func (r *Reconciler) failed(ctx context.Context, s *scope, err error) (ctrl.Result, error) {
	if packet.IsUnauthorized(err) || packet.IsForbidden(err) {
		ctrl.LoggerFrom(ctx).Error(err, "The Packet API refuses the token")
		return r.write(ctx, s, refusedRetry, false, infrav1.CredentialsRejectedReason, s.account.Refused(err))
	}
	if after, ok := packet.RetryAfter(err); ok {
		ctrl.LoggerFrom(ctx).Info("The Packet API asks to wait", "after", after.String(), "error", err.Error())
		return ctrl.Result{RequeueAfter: min(max(after, time.Second), time.Minute)}, nil
	}
	return ctrl.Result{}, err
}

// refreshUserData gives a device that is about to be installed anew the bootstrap data of today. The bootstrap provider goes
// on renewing the token in it as long as it can be needed: for Machines that have no node, and for MachinePools.
func (r *Reconciler) refreshUserData(ctx context.Context, s *scope, device *packet.Device) error {
	name := s.packetMachine.Annotations[infrav1.PoolBootstrapDataSecretAnnotation]
	if own := s.machine.Spec.Bootstrap.DataSecretName; own != nil && *own != "" {
		name = *own
	}
	secret, err := get(ctx, r.Reader, s.machine.Namespace, name, &corev1.Secret{})
	if err != nil || secret == nil {
		return client.IgnoreNotFound(err)
	}
	data := string(secret.Data["value"])
	if data == "" || data == device.Userdata {
		return nil
	}
	if _, err := s.account.Client.UpdateDevice(ctx, device.ID, packet.DeviceUpdate{Userdata: &data}); err != nil {
		return fmt.Errorf("giving device %s the bootstrap data of today: %w", device.ID, err)
	}
	return nil
}
