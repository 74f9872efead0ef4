package metadata

import (
	"net/netip"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// identify finds the device that has an address, nil for none. A global
// address says nothing, since devices in several metros may have it, and
// neither does one that a metal gateway has.
func identify(snapshot *store.Snapshot, remote string) *store.Row[store.Device] {
	source, err := netip.ParseAddrPort(remote)
	if err != nil {
		return nil
	}
	assignment := snapshot.AssignmentAround(source.Addr().Unmap().WithZone(""))
	if assignment == nil || assignment.Value.Global {
		return nil
	}
	row, ok := snapshot.Devices.Get(assignment.Value.DeviceID)
	if !ok || unreachable(snapshot, row.Value, source.Addr().Unmap()) {
		return nil
	}
	return row
}

// unreachable tells whether an address cannot be where a request came from: a
// block has an address that is the gateway's, and a device in pure layer 2 has
// no way to the service.
func unreachable(snapshot *store.Snapshot, device *store.Device, source netip.Addr) bool {
	for _, row := range snapshot.AddressesOf(device.ID) {
		if row.Value.Management && row.Value.Gateway == source {
			return true
		}
	}
	ports, ok := snapshot.DevicePorts.Get(device.ID)
	return ok && ports.Value.Layer2
}
