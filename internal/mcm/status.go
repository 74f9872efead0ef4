package mcm

import (
	"context"
	"fmt"
	"strings"

	"github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/driver"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/codes"
	corev1 "k8s.io/api/core/v1"

	"github.com/packetyard/packetyard/pkg/packet"
)

// GetMachineStatus tells whether a Machine has a device, by its provider ID or else by the tags.
//
// NotFound is said only if the API says that there is no such device, or if a complete listing that is newer than all this
// process did for the Machine has none with its tags: MCM creates one then. Uninitialized, together with a response, is said
// of a device that lacks virtual networks.
func (d *Driver) GetMachineStatus(ctx context.Context, request *driver.GetMachineStatusRequest) (*driver.GetMachineStatusResponse, error) {
	a, device, err := d.deviceOfMachine(ctx, request.MachineClass, request.Secret, request.Machine)
	if err != nil {
		return nil, err
	}
	response := &driver.GetMachineStatusResponse{ProviderID: providerIDOf(device), NodeName: request.Machine.Name, Addresses: addresses(device)}
	if request.Machine.Spec.ProviderID != "" {
		response.ProviderID = request.Machine.Spec.ProviderID
	}
	if request.Machine.DeletionTimestamp != nil {
		// Who is to be deleted need not be well. MCM would not go on with any error but NotFound and Uninitialized.
		return response, nil
	}
	if device.State == packet.StateFailed {
		return nil, fail(codes.Internal, "%s of machine %q is of no use: %s", describe(device), request.Machine.Name, a.whyFailed(ctx, device))
	}
	if missing := missingNetworks(device); len(missing) > 0 {
		return response, fail(codes.Uninitialized, "%s of machine %q is not in virtual network %s yet", describe(device), request.Machine.Name, strings.Join(missing, ", "))
	}
	return response, nil
}

// whyFailed is what the API says of how a device failed to be installed. Events that the machine itself reported are left
// out: they can hold what its console showed.
func (a *account) whyFailed(ctx context.Context, device *packet.Device) string {
	events, err := a.client.DeviceEvents(ctx, device.ID)
	if err != nil {
		return "it failed, and its events cannot be read"
	}
	for _, event := range events {
		if strings.HasPrefix(event.Type, "provisioning.") && event.Body != "" {
			return event.Body
		}
	}
	return "it failed, and the API does not say why"
}

// deviceOfMachine finds the device of a Machine. Its error is MCM's.
func (d *Driver) deviceOfMachine(ctx context.Context, class *v1alpha1.MachineClass, secret *corev1.Secret, machine *v1alpha1.Machine) (*account, *packet.Device, error) {
	s, err := scopeOf(class, secret)
	if err != nil {
		return nil, nil, err
	}
	a, err := d.accounts.of(s)
	if err != nil {
		return nil, nil, err
	}
	last := d.attempts.of(keyOf(s, machine))
	if machine.Spec.ProviderID != "" {
		id, err := deviceID(machine.Spec.ProviderID)
		if err != nil {
			return nil, nil, err
		}
		device, err := a.device(ctx, id, last.ended)
		if packet.IsNotFound(err) {
			return nil, nil, fail(codes.NotFound, "device %s of machine %q does not exist", id, machine.Name)
		}
		return a, device, statusOf(err, fmt.Sprintf("reading device %s of machine %q", id, machine.Name), a.token)
	}
	snapshot, err := a.listing(ctx, last.ended)
	if err != nil {
		return nil, nil, err
	}
	found := find(snapshot.Devices(), s, machine.Name)
	if len(found) == 0 {
		return nil, nil, fail(codes.NotFound, "no device of project %s has the tags %q, %q and %q", s.credentials.ProjectID, s.cluster, strings.Join(s.roles, ", "), machineTag(machine.Name))
	}
	return a, found[0], nil
}
