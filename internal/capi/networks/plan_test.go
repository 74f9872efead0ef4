package networks

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	vlanA = "00000000-0000-4000-8000-00000000000a"
	vlanB = "00000000-0000-4000-8000-00000000000b"
)

func ports(kind string, bonded [2]bool, vlans map[string][]string) []packet.Port {
	list := []packet.Port{
		{Name: "bond0", Type: packet.PortTypeBond, NetworkType: kind, Data: &packet.PortData{Bonded: bonded[0] || bonded[1]}},
		{Name: "eth0", Type: packet.PortTypeNetwork, Data: &packet.PortData{Bonded: bonded[0]}},
		{Name: "eth1", Type: packet.PortTypeNetwork, Data: &packet.PortData{Bonded: bonded[1]}},
	}
	for n := range list {
		for _, id := range vlans[list[n].Name] {
			list[n].VirtualNetworks = append(list[n].VirtualNetworks, packet.VirtualNetwork{Href: "/metal/v1/virtual-networks/" + id})
		}
	}
	return list
}

// What is in the way of a change has to go first, or the Packet API refuses it; what is not stays.
func TestPlan(t *testing.T) {
	both, none, first := [2]bool{true, true}, [2]bool{false, false}, [2]bool{true, false}
	for name, test := range map[string]struct {
		ports   []packet.Port
		network infrav1.PacketMachineNetwork
		want    []string
	}{
		"nothing to do": {ports(packet.NetworkTypeLayer3, both, nil), infrav1.PacketMachineNetwork{Type: infrav1.NetworkTypeLayer3}, nil},
		"others stay": {
			ports(packet.NetworkTypeHybridBonded, both, map[string][]string{"bond0": {vlanB}}),
			infrav1.PacketMachineNetwork{Type: infrav1.NetworkTypeHybridBonded, VLANs: []infrav1.PacketMachineVLAN{{ID: strings.ToUpper(vlanA)}}},
			[]string{"bond0: assign VLAN " + vlanA},
		},
		"there already": {
			ports(packet.NetworkTypeHybridBonded, both, map[string][]string{"bond0": {vlanA, vlanB}}),
			infrav1.PacketMachineNetwork{Type: infrav1.NetworkTypeHybridBonded, VLANs: []infrav1.PacketMachineVLAN{{ID: vlanA}}}, nil,
		},
		"back to layer 3": {
			ports(packet.NetworkTypeLayer2Individual, none, map[string][]string{"eth0": {vlanA}, "eth1": {vlanB}}),
			infrav1.PacketMachineNetwork{Type: infrav1.NetworkTypeLayer3},
			[]string{"eth0: unassign VLAN " + vlanA, "eth0: bond", "eth1: unassign VLAN " + vlanB, "eth1: bond", "bond0: convert to layer 3"},
		},
		"hybrid, which port named by nobody": {
			ports(packet.NetworkTypeLayer3, both, nil), infrav1.PacketMachineNetwork{Type: infrav1.NetworkTypeHybridUnbonded}, []string{"eth1: disbond"},
		},
		"half done": {
			ports(packet.NetworkTypeHybrid, first, nil),
			infrav1.PacketMachineNetwork{Type: infrav1.NetworkTypeHybridUnbonded, VLANs: []infrav1.PacketMachineVLAN{{ID: vlanA, Port: "eth1"}}},
			[]string{"eth1: assign VLAN " + vlanA},
		},
		"to layer 2": {
			ports(packet.NetworkTypeLayer3, both, nil),
			infrav1.PacketMachineNetwork{Type: infrav1.NetworkTypeLayer2Individual, VLANs: []infrav1.PacketMachineVLAN{{ID: vlanA, Port: "eth0"}}},
			[]string{"bond0: convert to layer 2", "eth0: disbond", "eth1: disbond", "eth0: assign VLAN " + vlanA},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := want(test.network, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, step := range plan(test.ports, w) {
				got = append(got, fmt.Sprint(step))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("steps are %q, want %q", got, test.want)
			}
		})
	}
}
