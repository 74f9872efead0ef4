package mcm

import (
	"context"
	"slices"

	"github.com/gardener/machine-controller-manager/pkg/util/provider/driver"

	"github.com/packetyard/packetyard/pkg/packet"
)

// ListMachines lists the devices of the cluster and role of a MachineClass to the last page, by provider ID, with the names of
// their Machines. MCM deletes those that have no Machine. Devices that were given back are not listed; nor are those of which
// it cannot be told which Machine they are for, because not to know is no reason to delete.
func (d *Driver) ListMachines(ctx context.Context, request *driver.ListMachinesRequest) (*driver.ListMachinesResponse, error) {
	s, err := scopeOf(request.MachineClass, request.Secret)
	if err != nil {
		return nil, err
	}
	a, err := d.accounts.of(s)
	if err != nil {
		return nil, err
	}
	snapshot, err := a.listing(ctx, a.touched())
	if err != nil {
		return nil, err
	}
	// A driver before this one may have ended before a device was active.
	if slices.ContainsFunc(snapshot.Devices(), func(device packet.Device) bool { return unfinished(&device) }) {
		a.finish(ctx)
	}
	machines := map[string]string{}
	for n := range snapshot.Devices() {
		device := &snapshot.Devices()[n]
		if name := machineOf(device); s.has(device) && !leaving(device) && name != "" {
			machines[providerIDOf(device)] = name
		}
	}
	return &driver.ListMachinesResponse{MachineList: machines}, nil
}
