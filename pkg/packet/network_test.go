package packet

import (
	"encoding/json"
	"testing"

	"github.com/equinix/equinix-sdk-go/services/metalv1"
	"github.com/packethost/packngo"
)

// What networks look like on the wire, the published clients must read.
func TestPublishedClientsReadOurNetworks(t *testing.T) {
	now := NewTimestamp(newFakeClock().Now())
	block := IPReservation{ID: testDevice, Type: IPTypePrivateIPv4, Address: "10.92.0.2", Network: "10.92.0.0", CIDR: 29, AddressFamily: 4, Tags: []string{}, Assignments: []IPAssignment{}}
	gateway := MetalGateway{ID: testDevice, Href: "/x", State: MetalGatewayReady, Project: &Project{Href: "/x"}, VirtualNetwork: &VirtualNetwork{Href: "/x"},
		IPReservation: &block, CreatedBy: &Href{"/x"}, CreatedAt: now, UpdatedAt: now}
	for _, test := range []struct {
		name  string
		value any
		into  []any
	}{
		{"virtual network", VirtualNetwork{ID: testDevice, Href: "/x", VXLAN: 1000, MetroCode: "da", Metro: &Metro{Code: "da"}, AssignedTo: &Project{Href: "/x"},
			Facility:  &VirtualNetworkFacility{Facility: Facility{ID: testDevice, Href: "/x", Code: "da11"}, FacilityCode: "da11"},
			Instances: []Href{{"/x"}}, MetalGateways: []MetalGatewayLite{{ID: testDevice, VLAN: 1000, State: MetalGatewayActive}}, CreatedAt: now},
			[]any{new(metalv1.VirtualNetwork), new(packngo.VirtualNetwork)}},
		{"port", Port{ID: testDevice, Type: PortTypeBond, NetworkType: NetworkTypeHybrid, VirtualNetworks: []VirtualNetwork{{Href: "/x"}}, NativeVirtualNetwork: &VirtualNetwork{Href: "/x"}},
			[]any{new(metalv1.Port), new(packngo.Port)}},
		{"assignment", VLANAssignment{ID: testDevice, VLAN: 1000, State: VLANAssigned, Port: &Href{"/x"}, VirtualNetwork: &Href{"/x"}, CreatedAt: now},
			[]any{new(metalv1.PortVlanAssignment), new(packngo.VLANAssignment)}},
		{"batch", VLANBatch{ID: testDevice, State: VLANBatchCompleted, Quantity: 1, VLANAssignments: []VLANBatchEntry{{ID: testDevice, VLAN: 1000, State: VLANUnassigned}}, Port: &Href{"/x"}},
			[]any{new(metalv1.PortVlanAssignmentBatch), new(packngo.VLANAssignmentBatch)}},
		{"gateway", gateway, []any{new(metalv1.FindMetalGatewayById200Response), new(packngo.MetalGateway)}},
		{"neighbor", BGPDynamicNeighbor{ID: testDevice, ASN: 65001, State: MetalGatewayReady, MetalGateway: &Href{"/x"}}, []any{new(metalv1.BgpDynamicNeighbor)}},
		{"VRF", VRF{ID: testDevice, Name: "n", LocalASN: 65000, IPRanges: []string{"10.0.0.0/8"}, CreatedAt: now}, []any{new(metalv1.Vrf), new(packngo.VRF)}},
		{"VRF reservation", VRFIPReservation{ID: testDevice, Type: IPTypeVRF, CIDR: 24, VRF: &Href{"/x"}, CreatedAt: now},
			[]any{new(metalv1.VrfIpReservation), new(metalv1.FindIPAddressById200Response), new(packngo.IPAddressReservation)}},
		{"route", VRFRoute{ID: testDevice, Type: "static", Status: VRFRouteActive, MetalGateway: &Href{"/x"}, VRF: &Href{"/x"}}, []any{new(metalv1.VrfRoute)}},
	} {
		encoded, err := json.Marshal(test.value)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		for _, into := range test.into {
			if err := json.Unmarshal(encoded, into); err != nil {
				t.Errorf("%s as %T: %v\n%s", test.name, into, err, encoded)
			}
		}
	}
}

// A network that is a reference has no key but its href: only such is
// expanded where a client includes it.
func TestReferencedNetworkIsItsHref(t *testing.T) {
	encoded, err := json.Marshal([]VirtualNetwork{{Href: "/metal/v1/virtual-networks/x"}})
	if err != nil || string(encoded) != `[{"href":"/metal/v1/virtual-networks/x"}]` {
		t.Errorf("it is %s, %v", encoded, err)
	}
}
