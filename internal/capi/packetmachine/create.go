package packetmachine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"

	"sigs.k8s.io/cluster-api/util"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

// adopt finds the device of a machine that has none on record, or rents one.
func (r *Reconciler) adopt(ctx context.Context, s *scope, id devices.Identity, secret string, shared bool) (devices.Found, ctrl.Result, error) {
	if wait, held := r.refusals.held(s, r.Now()); held {
		// The API refused it, so there is no device to look for either.
		return devices.Found{}, ctrl.Result{RequeueAfter: wait}, nil
	}
	// A device can be found without bootstrap data, as after a restore in which it was lost. Made it cannot be.
	data, dataErr := r.bootstrapData(ctx, s, secret)
	var invalid *invalidError
	if dataErr != nil && !errors.As(dataErr, &invalid) {
		return devices.Found{}, ctrl.Result{}, dataErr
	}
	if dataErr == nil && !shared {
		// The bootstrap data of a pool is made anew from time to time, so that it tells nothing about a machine.
		id.Bootstrap = devices.Fingerprint(data)
	}
	found, err := s.account.Devices.Find(ctx, id)
	if err != nil {
		result, err := r.apiFailure(ctx, s, infrav1.DeviceAPIErrorReason, err)
		return found, result, err
	}
	set(s.packetMachine, infrav1.CredentialsAvailableCondition, true, infrav1.CredentialsAvailableReason, "")
	switch {
	case found.Device != nil:
	case len(found.Foreign) > 0:
		r.complain(ctx, s.packetMachine, infrav1.DeviceReadyCondition, infrav1.DeviceConflictReason, fmt.Sprintf(
			"device %s has the names of this machine and was made from other bootstrap data, by an earlier machine of that name or by another management cluster: if nobody uses it, delete it in the Packet API; else delete the Machine and give it another name",
			foreign(found)))
		return found, ctrl.Result{RequeueAfter: refusedRetry}, nil
	case dataErr != nil:
		result, err := r.createFailure(ctx, s, dataErr)
		return found, result, err
	default:
		if found.Device, err = r.create(ctx, s, id, data); err != nil {
			result, err := r.createFailure(ctx, s, err)
			return found, result, err
		}
	}
	r.refusals.forget(s.packetMachine.UID)
	return found, ctrl.Result{}, nil
}

func foreign(found devices.Found) string {
	ids := make([]string, 0, len(found.Foreign))
	for _, device := range found.Foreign {
		ids = append(ids, device.ID)
	}
	return strings.Join(ids, ", ")
}

func (r *Reconciler) create(ctx context.Context, s *scope, id devices.Identity, data []byte) (*packet.Device, error) {
	place, err := place(s)
	if err != nil {
		return nil, err
	}
	created, err := devices.Create(ctx, s.account.Client, s.account.Supply, devices.Request{
		Identity:     id,
		Hostname:     s.packetMachine.Name,
		ControlPlane: util.IsControlPlaneMachine(s.machine),
		Place:        place,
		Spec:         s.packetMachine.Spec,
		UserData:     data,
	})
	if err != nil {
		return nil, err
	}
	ctrl.LoggerFrom(ctx).Info("Created device", "device", created.Device.ID, "place", place.String(), "hardwareReservation", created.Reservation)
	on := ""
	if created.Reservation != "" {
		on = ", on hardware reservation " + created.Reservation
	}
	r.Recorder.Eventf(s.packetMachine, nil, "Normal", "DeviceCreated", "Create", "Created device %s in %s%s", created.Device.ID, place, on)
	if created.Fallback != nil {
		r.Recorder.Eventf(s.packetMachine, nil, "Normal", "OnDemandFallback", "Create",
			"Device %s is on demand, because no hardware reservation can be had: %s", created.Device.ID, note(created.Fallback.Error()))
	}
	return created.Device, nil
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
		return devices.Place{}, &invalidError{infrav1.DeviceSpecInvalidReason, fmt.Sprintf(
			"spec.metro: neither PacketMachine %s nor PacketCluster %s has a metro or a facility", s.packetMachine.Name, s.packetCluster.Name)}
	}
}
