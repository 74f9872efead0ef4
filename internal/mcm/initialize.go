package mcm

import (
	"context"
	"fmt"

	"github.com/gardener/machine-controller-manager/pkg/util/provider/driver"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/codes"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/status"

	"github.com/packetyard/packetyard/pkg/packet"
)

// InitializeMachine puts the device of a Machine into its virtual networks (assignPort), on the bond, which keeps its
// addresses. The API takes that of a device that is active only: before, the error is Uninitialized, and MCM asks again.
// Without virtual networks there is nothing to do, and nobody is asked.
func (d *Driver) InitializeMachine(ctx context.Context, request *driver.InitializeMachineRequest) (*driver.InitializeMachineResponse, error) {
	machine := request.Machine
	s, err := scopeOf(request.MachineClass, request.Secret)
	if err != nil {
		return nil, err
	}
	if spec, _ := decode(request.MachineClass, false); len(spec.VLANs) == 0 && machine.Spec.ProviderID != "" {
		return &driver.InitializeMachineResponse{ProviderID: machine.Spec.ProviderID, NodeName: machine.Name}, nil
	}
	a, device, err := d.deviceOfMachine(ctx, request.MachineClass, request.Secret, machine)
	if err != nil {
		if known, ok := status.FromError(err); ok && known.Code() == codes.NotFound {
			return nil, err
		}
		return nil, failedAs(codes.Uninitialized, err, "looking for the device")
	}
	response := &driver.InitializeMachineResponse{ProviderID: providerIDOf(device), NodeName: machine.Name, Addresses: addresses(device)}
	missing := missingNetworks(device)
	switch bond := bondOf(device); {
	case len(missing) == 0:
		return response, nil
	case device.State == packet.StateFailed:
		return nil, fail(codes.Uninitialized, "%s of machine %q is of no use: %s", describe(device), machine.Name, a.whyFailed(ctx, device))
	case device.State != packet.StateActive || bond == nil:
		a.finish(ctx)
		return nil, fail(codes.Uninitialized, "%s of machine %q is %s (%.0f %% done): it is put into its virtual networks when it is active",
			describe(device), machine.Name, device.State, device.ProvisioningPercentage)
	default:
		err := a.assign(ctx, bond, missing)
		d.attempts.note(keyOf(s, machine), d.options.Clock.Now(), false)
		if err != nil {
			return nil, failedAs(codes.Uninitialized, err, fmt.Sprintf("putting %s of machine %q into its virtual networks", describe(device), machine.Name), a.token)
		}
		return response, nil
	}
}
