package store

import (
	"maps"
	"slices"
	"time"
)

// DevicePorts is how the network ports of a device are set up. There is no
// such record as long as all of them are as on a new device: bonded, in layer
// 3, without virtual networks. It is one record, so that two changes of one
// device's ports are never decided on different grounds.
type DevicePorts struct {
	DeviceID string `json:"deviceID"`
	// Layer2 is true while the bond has no addresses of the API's.
	Layer2 bool `json:"layer2,omitempty"`
	// Unbonded are the names of the interfaces that were taken out of the bond.
	Unbonded []string `json:"unbonded,omitempty"`
	// VLANs are what is assigned to the ports.
	VLANs     []PortVLAN `json:"vlans,omitempty"`
	UpdatedAt time.Time  `json:"updatedAt"`
}

// PortVLAN is a virtual network on a port.
type PortVLAN struct {
	ID string `json:"id"`
	// Port is the port's name.
	Port             string `json:"port"`
	VirtualNetworkID string `json:"virtualNetworkID"`
	VXLAN            int    `json:"vxlan"`
	// Native is true for the one of a port whose packets have no tag.
	Native    bool      `json:"native,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// Clone copies the record, so that a transaction can change it.
func (v DevicePorts) Clone() DevicePorts {
	v.Unbonded = slices.Clone(v.Unbonded)
	v.VLANs = slices.Clone(v.VLANs)
	return v
}

// IsDefault tells whether the ports are as on a new device.
func (v *DevicePorts) IsDefault() bool {
	return !v.Layer2 && len(v.Unbonded) == 0 && len(v.VLANs) == 0
}

// On lists what is assigned to one port.
func (v *DevicePorts) On(port string) []PortVLAN {
	var list []PortVLAN
	for _, vlan := range v.VLANs {
		if vlan.Port == port {
			list = append(list, vlan)
		}
	}
	return list
}

// virtualNetworks are the IDs of all virtual networks on the ports, each once.
func (v *DevicePorts) virtualNetworks() []string {
	ids := map[string]struct{}{}
	for _, vlan := range v.VLANs {
		ids[vlan.VirtualNetworkID] = struct{}{}
	}
	return slices.Sorted(maps.Keys(ids))
}

// The states of a VLANBatch are those of the API's.

// VLANBatch is a number of changes of one port's virtual networks that were
// asked for at once. They were made in the transaction that made the batch.
type VLANBatch struct {
	ID        string           `json:"id"`
	DeviceID  string           `json:"deviceID"`
	ProjectID string           `json:"projectID"`
	Port      string           `json:"port"`
	State     string           `json:"state"`
	Entries   []VLANBatchEntry `json:"entries"`
	CreatedAt time.Time        `json:"createdAt"`
	UpdatedAt time.Time        `json:"updatedAt"`
}

// VLANBatchEntry is one change of a VLANBatch.
type VLANBatchEntry struct {
	VirtualNetworkID string `json:"virtualNetworkID"`
	VXLAN            int    `json:"vxlan"`
	State            string `json:"state"`
	Native           bool   `json:"native,omitempty"`
}

// OfPort names the group of the batches of one port.
func OfPort(deviceID, port string) string { return "port/" + deviceID + "/" + port }

// ForgetPorts removes all that was made of a device's ports, when the device
// itself goes.
func (tx *Tx) ForgetPorts(deviceID string) {
	if row, ok := tx.DevicePorts.Get(deviceID); ok {
		tx.DevicePorts.Delete(tx, row)
	}
	for _, row := range tx.VLANBatches.In(OfDevice(deviceID)) {
		tx.VLANBatches.Delete(tx, row)
	}
}

func (s *Snapshot) registerPorts(touchDevice func(id string)) {
	register(s, &s.DevicePorts, "device-ports/", Table[DevicePorts]{
		id: func(v *DevicePorts) string { return v.DeviceID },
		groups: func(v *DevicePorts) []string {
			var groups []string
			for _, id := range v.virtualNetworks() {
				groups = append(groups, OfVirtualNetwork(id))
			}
			return groups
		},
		changed: func(v *DevicePorts) {
			touchDevice(v.DeviceID)
			for _, id := range v.virtualNetworks() {
				s.virtualNetworkUseChanged(id)
			}
		},
	})
	register(s, &s.VLANBatches, "vlan-batches/", Table[VLANBatch]{
		key:    func(v *VLANBatch) string { return v.DeviceID + "/" + v.ID },
		id:     func(v *VLANBatch) string { return v.ID },
		groups: func(v *VLANBatch) []string { return []string{OfDevice(v.DeviceID), OfPort(v.DeviceID, v.Port)} },
	})
}

// virtualNetworkUseChanged forgets what says whether a virtual network has a
// port: the network itself, and the gateways on it with their reservations.
func (s *Snapshot) virtualNetworkUseChanged(id string) {
	s.VirtualNetworks.forget(id)
	for _, row := range s.MetalGateways.In(OfVirtualNetwork(id)) {
		s.MetalGateways.forget(row.Value.ID)
		s.Reservations.forget(row.Value.ReservationID)
	}
	for _, row := range s.DynamicNeighbors.In(OfVirtualNetwork(id)) {
		s.DynamicNeighbors.forget(row.Value.ID)
	}
}
