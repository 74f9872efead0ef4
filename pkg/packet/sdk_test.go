package packet

import (
	"encoding/json"
	"testing"

	"github.com/equinix/equinix-sdk-go/services/metalv1"
	"github.com/packethost/packngo"
)

// The types are the server's too, so what they write must be what the
// published clients read: the SDK with its strict decoders, and packngo.
func TestPublishedClientsReadOurTypes(t *testing.T) {
	now := NewTimestamp(newFakeClock().Now())
	details := "control plane"
	var device Device
	if err := json.Unmarshal([]byte(deviceJSON(testDevice, "node-1")), &device); err != nil {
		t.Fatal(err)
	}
	reservation := IPReservation{
		ID: testDevice, Href: "/metal/v1/ips/" + testDevice, Type: IPTypePublicIPv4, State: IPStateCreated, Address: "198.18.3.7",
		Network: "198.18.3.7", Netmask: "255.255.255.255", CIDR: 32, AddressFamily: 4, Public: true, Enabled: true, Details: &details,
		Tags: []string{"a"}, Assignments: []IPAssignment{{Href: "/metal/v1/ips/x"}}, CustomData: json.RawMessage(`{}`),
		Metro: &Metro{ID: testDevice, Code: "da"}, Facility: &Facility{ID: testDevice, Code: "da11"}, Project: &Project{Href: "/metal/v1/projects/x"},
		ProjectLite: &Href{"/metal/v1/projects/x"}, RequestedBy: &Href{"/metal/v1/users/x"}, MetalGateway: &MetalGatewayLite{ID: testDevice}, CreatedAt: now,
		Available: "/metal/v1/ips/x/available", Gateway: "198.18.3.6",
	}
	for _, test := range []struct {
		name  string
		value any
		into  []any
	}{
		{"device", device, []any{new(metalv1.Device), new(packngo.Device)}},
		{"devices", DeviceList{Devices: []Device{device}, Meta: fullMeta(1, 2, 11)}, []any{new(metalv1.DeviceList)}},
		{"reservations", IPReservationList{IPAddresses: []IPReservation{reservation}, Meta: fullMeta(1, 1, 1)}, []any{new(metalv1.IPReservationList)}},
		{"reservation", reservation, []any{new(metalv1.IPReservation), new(metalv1.RequestIPReservation201Response), new(packngo.IPAddressReservation)}},
		{"assignment", device.IPAddresses[0], []any{new(metalv1.IPAssignment), new(packngo.IPAddressAssignment)}},
		{"event", device.ProvisioningEvents[1], []any{new(metalv1.Event), new(packngo.Event)}},
		{"plan", device.Plan, []any{new(metalv1.Plan), new(packngo.Plan)}},
		{"facility", device.Facility, []any{new(metalv1.Facility), new(packngo.Facility)}},
		{"operating system", device.OperatingSystem, []any{new(metalv1.OperatingSystem), new(packngo.OS)}},
		{"project", Project{ID: testProject, Name: "p", BGPConfig: &Href{"/x"}, CreatedAt: now}, []any{new(metalv1.Project), new(packngo.Project)}},
		{"BGP config", BGPConfig{ID: testDevice, Status: BGPEnabled, DeploymentType: BGPLocal, ASN: 65000, MaxPrefix: 10, CreatedAt: now},
			[]any{new(metalv1.BgpConfig), new(packngo.BGPConfig)}},
		{"BGP session", BGPSession{ID: testDevice, AddressFamily: BGPIPv4, Status: "up", Device: &Href{"/x"}}, []any{new(metalv1.BgpSession), new(packngo.BGPSession)}},
		{"BGP neighbour", BGPNeighbor{AddressFamily: 4, PeerIPs: []string{"169.254.255.1"}, RoutesIn: []BGPRoute{{"10.0.0.0/25", true}}},
			[]any{new(metalv1.BgpNeighborData), new(packngo.BGPNeighbor)}},
		{"SSH key", SSHKey{ID: testDevice, Label: "l", Key: "k", Entity: &Href{"/x"}, CreatedAt: now}, []any{new(metalv1.SSHKey), new(packngo.SSHKey)}},
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
