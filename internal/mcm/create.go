package mcm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/driver"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/codes"
	corev1 "k8s.io/api/core/v1"

	machineclassv1alpha1 "github.com/packetyard/packetyard/api/machineclass/v1alpha1"
	"github.com/packetyard/packetyard/pkg/packet"
)

// CreateMachine makes the device of a Machine, unless there is one: it can be called again whatever became of the last call.
// Errors are MCM's codes, as codeOf tells.
func (d *Driver) CreateMachine(ctx context.Context, request *driver.CreateMachineRequest) (*driver.CreateMachineResponse, error) {
	spec, s, err := orderOf(request.MachineClass, request.Secret)
	if err != nil {
		return nil, err
	}
	a, err := d.accounts.of(s)
	if err != nil {
		return nil, err
	}
	machine, key := request.Machine, keyOf(s, request.Machine)
	end, alone := d.attempts.begin(key)
	defer end()
	if !alone {
		return nil, fail(codes.Aborted, "the device of machine %q is being made already", machine.Name)
	}

	last := d.attempts.of(key)
	snapshot, err := a.listing(ctx, last.ended)
	if err != nil {
		return nil, err
	}
	if found := find(snapshot.Devices(), s, machine.Name); len(found) > 0 {
		return answerFor(found[0], machine), nil
	}
	if wait := last.ended.Add(d.options.SettleTime).Sub(d.options.Clock.Now()); last.uncertain && wait > 0 {
		return nil, fail(codes.Unavailable, "the answer to the creation of the device of machine %q was lost: whether there is one shows within %s, and no other is asked for before",
			machine.Name, wait.Round(time.Second))
	}

	device, err := a.create(ctx, spec, deviceOf(spec, machine, request.Secret))
	if device != nil || uncertain(err) {
		d.attempts.note(key, d.options.Clock.Now(), err != nil)
		a.touch()
	}
	if err != nil {
		return nil, failed(err, fmt.Sprintf("creating the device of machine %q", machine.Name), a.token, userData(spec, request.Secret))
	}
	if len(spec.VLANs) > 0 {
		a.finish(ctx)
	}
	return answerFor(device, machine), nil
}

// keyOf tells Machines apart in what the driver remembers.
func keyOf(s scope, machine *v1alpha1.Machine) string {
	return s.credentials.APIURL + " " + s.credentials.ProjectID + " " + s.cluster + " " + machine.Name
}

// answerFor is the answer for a device that exists.
func answerFor(device *packet.Device, machine *v1alpha1.Machine) *driver.CreateMachineResponse {
	return &driver.CreateMachineResponse{ProviderID: providerIDOf(device), NodeName: machine.Name, Addresses: addresses(device)}
}

// deviceOf is the request for a device on demand, or on the spot market.
func deviceOf(spec *machineclassv1alpha1.ProviderSpec, machine *v1alpha1.Machine, secret *corev1.Secret) packet.DeviceCreate {
	create := packet.DeviceCreate{
		Hostname:        machine.Name,
		Plan:            spec.MachineType,
		OperatingSystem: spec.OS,
		Metro:           spec.Metro,
		Facility:        packet.FacilityCodes(spec.Facilities),
		BillingCycle:    first(spec.BillingCycle, "hourly"),
		Tags:            append(append([]string{}, spec.Tags...), machineTag(machine.Name)),
		Userdata:        userData(spec, secret),
		ProjectSSHKeys:  spec.SSHKeys,
		// A device of which nobody says a key would accept all keys of the project.
		NoSSHKeys:     len(spec.SSHKeys) == 0,
		IPXEScriptURL: spec.IPXEScriptURL,
	}
	if len(spec.PrivateIPReservationIDs) > 0 {
		// As soon as one address is asked for in particular, all others have to be asked for too.
		create.IPAddresses = []packet.IPAddressCreate{
			{AddressFamily: 4, Public: true},
			{AddressFamily: 4, IPReservations: spec.PrivateIPReservationIDs},
			{AddressFamily: 6, Public: true},
		}
	}
	for _, network := range spec.VLANs {
		create.Tags = append(create.Tags, machineclassv1alpha1.TagPrefixVLAN+strings.ToLower(network))
	}
	if spec.IPXEScriptURL != "" {
		create.OperatingSystem = packet.OSCustomIPXE
	}
	if spec.Storage != nil {
		create.Storage = spec.Storage.Raw
	}
	if spec.SpotPriceMax != "" {
		create.SpotInstance = true
		// It was validated, so that it can be read.
		create.SpotPriceMax, _ = price(spec.SpotPriceMax)
	}
	return create
}

// noReservation tells that none of the hardware reservations can be had.
type noReservation struct{ reasons error }

// Error implements error.
func (e *noReservation) Error() string {
	return "no hardware reservation can be had: " + e.reasons.Error()
}

// create rents a device (createDevice): of the first hardware reservation that can be had, or else on demand, if it may be.
func (a *account) create(ctx context.Context, spec *machineclassv1alpha1.ProviderSpec, create packet.DeviceCreate) (*packet.Device, error) {
	var none *noReservation
	if len(spec.ReservationIDs) > 0 {
		device, err := a.createReserved(ctx, spec.ReservationIDs, create)
		if !errors.As(err, &none) || spec.ReservedDevicesOnly {
			return device, err
		}
	}
	device, err := a.client.CreateDevice(ctx, a.projectID, create)
	if err != nil && none != nil {
		return nil, fmt.Errorf("on demand, because %s: %w", none.Error(), err)
	}
	return device, err
}

// createReserved tries hardware reservations in turn. The error is a *noReservation if there is none left to try.
func (a *account) createReserved(ctx context.Context, reservations []string, create packet.DeviceCreate) (*packet.Device, error) {
	// A reserved server is paid for already.
	create.SpotInstance, create.SpotPriceMax = false, 0
	var reasons error
	for _, id := range reservations {
		if id != packet.NextAvailableHardware {
			_, reason, err := a.reservations.Claim(ctx, id)
			if err != nil {
				return nil, err
			}
			if reason != "" {
				reasons = errors.Join(reasons, errors.New(reason))
				continue
			}
		}
		create.HardwareReservationID = id
		device, err := a.client.CreateDevice(ctx, a.projectID, create)
		a.reservations.Release(id, err)
		if err == nil {
			return device, nil
		}
		err = fmt.Errorf("hardware reservation %s: %w", id, err)
		if !passesOver(err) {
			// What is wrong is not this reservation: with another one it would be wrong too, or nothing is known.
			return nil, err
		}
		// The text alone: the answer to a reservation that is left behind must not decide about the code of what comes after.
		reasons = errors.Join(reasons, errors.New(err.Error()))
	}
	return nil, &noReservation{reasons}
}
