package apiserver

import (
	"encoding/json"
	"slices"

	"github.com/packetyard/packetyard/internal/apiserver/hardware"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// port is one network port of a device, with how all ports of that device are
// set up.
type port struct {
	device *store.Row[store.Device]
	name   string
	// record is nil as long as the ports are as on a new device.
	record *store.Row[store.DevicePorts]
	ports  store.DevicePorts
}

// findPort finds a port by its ID, which holds that of its device.
func findPort(s *store.Snapshot, id string) (*port, bool) {
	for _, name := range hardware.Ports() {
		row, ok := s.Devices.Get(hardware.DeviceOfPort(id, name))
		if !ok || hardware.PortID(row.Value.ID, name) != id {
			continue
		}
		found := &port{device: row, name: name, ports: portsOf(s, row.Value.ID)}
		found.record, _ = s.DevicePorts.Get(row.Value.ID)
		return found, true
	}
	return nil, false
}

// portsOf is how the ports of a device are set up.
func portsOf(s *store.Snapshot, deviceID string) store.DevicePorts {
	if row, ok := s.DevicePorts.Get(deviceID); ok {
		return row.Value.Clone()
	}
	return store.DevicePorts{DeviceID: deviceID}
}

func ofPort(s *store.Snapshot, id string) (owner, bool) {
	found, ok := findPort(s, id)
	if !ok {
		return owner{}, false
	}
	return owner{project: found.device.Value.ProjectID}, true
}

func (p *port) id() string   { return hardware.PortID(p.device.Value.ID, p.name) }
func (p *port) isBond() bool { return p.name == hardware.Bond }

// bonded tells whether an interface is in the bond, or whether a bond has any
// interface in it.
func bonded(v *store.DevicePorts, name string) bool {
	if name == hardware.Bond {
		return len(v.Unbonded) < len(hardware.Interfaces())
	}
	return !slices.Contains(v.Unbonded, name)
}

// networkType is what a bond is, by whether it has addresses, which
// interfaces are in it, and whether it has virtual networks. A bond without
// interfaces that was not converted to layer 2 still counts as layer 3: its
// device has its addresses, and clients that want layer 2 convert it next.
func networkType(v *store.DevicePorts) string {
	active := bonded(v, hardware.Bond)
	switch {
	case v.Layer2 && active:
		return packet.NetworkTypeLayer2Bonded
	case v.Layer2:
		return packet.NetworkTypeLayer2Individual
	case active && len(v.Unbonded) > 0:
		return packet.NetworkTypeHybrid
	case active && len(v.On(hardware.Bond)) > 0:
		return packet.NetworkTypeHybridBonded
	default:
		return packet.NetworkTypeLayer3
	}
}

// devicePorts are the ports of a device: a bond over two interfaces, as every
// server had them.
func devicePorts(s *store.Snapshot, d *store.Device) []packet.Port {
	set := portsOf(s, d.ID)
	var list []packet.Port
	for _, name := range hardware.Ports() {
		list = append(list, *showPort(d, &set, name))
	}
	return list
}

func showPort(d *store.Device, set *store.DevicePorts, name string) *packet.Port {
	id := hardware.PortID(d.ID, name)
	shown := &packet.Port{
		ID:                        id,
		Href:                      href("ports", id),
		Name:                      name,
		Type:                      packet.PortTypeNetwork,
		Data:                      &packet.PortData{Bonded: bonded(set, name), MAC: hardware.MAC(d.ID, max(0, slices.Index(hardware.Interfaces(), name)))},
		DisbondOperationSupported: true,
		VirtualNetworks:           []packet.VirtualNetwork{},
	}
	if name == hardware.Bond {
		shown.Type = packet.PortTypeBond
		shown.NetworkType = networkType(set)
	} else {
		shown.Bond = &packet.PortBond{ID: hardware.PortID(d.ID, hardware.Bond), Name: hardware.Bond}
	}
	for _, vlan := range set.On(name) {
		shown.VirtualNetworks = append(shown.VirtualNetworks, *virtualNetworkReference(vlan.VirtualNetworkID))
		if vlan.Native {
			shown.NativeVirtualNetwork = virtualNetworkReference(vlan.VirtualNetworkID)
		}
	}
	return shown
}

// encodePort is for showing a port in place of its reference.
func encodePort(s *store.Snapshot, id string) ([]byte, error) {
	found, ok := findPort(s, id)
	if !ok {
		return nil, nil
	}
	return json.Marshal(showPort(found.device.Value, &found.ports, found.name))
}

// answerPort shows a port as the request selects it.
func (a *API) answerPort(r *request, status int) (response, error) {
	find := func(s *store.Snapshot) (*store.Row[port], bool) {
		found, ok := findPort(s, r.id())
		return store.NewRow(found), ok
	}
	return answerFound(a, r, status, find, func(_ *store.Snapshot, row *store.Row[port]) ([]byte, error) {
		return json.Marshal(showPort(row.Value.device.Value, &row.Value.ports, row.Value.name))
	})
}
