package metadata

import (
	"slices"

	"github.com/packetyard/packetyard/internal/apiserver/hardware"
	"github.com/packetyard/packetyard/internal/apiserver/store"
)

type network struct {
	Bonding       bonding            `json:"bonding"`
	Interfaces    []networkInterface `json:"interfaces"`
	Addresses     []address          `json:"addresses"`
	MetalGateways []gateway          `json:"metal_gateways"`
}

type bonding struct {
	Mode int `json:"mode"`
	// LinkAggregation is mlag_ha where the two interfaces of a bond go to two
	// switches that act as one.
	LinkAggregation string `json:"link_aggregation"`
	MAC             string `json:"mac"`
}

type networkInterface struct {
	Name string `json:"name"`
	MAC  string `json:"mac"`
	// Bond is empty for an interface that was taken out of it.
	Bond string `json:"bond"`
}

// gateway is a metal gateway of a virtual network that the device is in.
type gateway struct {
	ID      string `json:"id"`
	VLAN    int    `json:"vlan"`
	Gateway string `json:"gateway_address"`
	Href    string `json:"href"`
}

func networkOf(s *store.Snapshot, d *store.Device) network {
	n := network{
		Bonding:       bonding{Mode: hardware.BondingMode, LinkAggregation: "mlag_ha", MAC: hardware.MAC(d.ID, 0)},
		Interfaces:    []networkInterface{},
		Addresses:     []address{},
		MetalGateways: []gateway{},
	}
	var ports store.DevicePorts
	if row, ok := s.DevicePorts.Get(d.ID); ok {
		ports = *row.Value
	}
	for i, name := range hardware.Interfaces() {
		shown := networkInterface{Name: name, MAC: hardware.MAC(d.ID, i), Bond: hardware.Bond}
		if slices.Contains(ports.Unbonded, name) {
			shown.Bond = ""
		}
		n.Interfaces = append(n.Interfaces, shown)
	}
	for _, assignment := range s.AddressesOf(d.ID) {
		n.Addresses = append(n.Addresses, addressOf(s, assignment.Value))
	}
	for _, vlan := range ports.VLANs {
		for _, row := range s.MetalGateways.In(store.OfVirtualNetwork(vlan.VirtualNetworkID)) {
			n.MetalGateways = append(n.MetalGateways, gateway{
				ID: row.Value.ID, VLAN: vlan.VXLAN, Gateway: row.Value.Address.String(), Href: "/metal-gateways/" + row.Value.ID,
			})
		}
	}
	return n
}
