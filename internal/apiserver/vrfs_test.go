package apiserver_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// made is the ID of what a request made.
func made(t testing.TB, server *apiservertest.Server, path, body string) string {
	t.Helper()
	answer, object := raw(t, server, http.MethodPost, path, body)
	id, _ := object["id"].(string)
	if answer.StatusCode >= 300 || id == "" {
		t.Fatalf("POST %s %s: %d %v", path, body, answer.StatusCode, object)
	}
	return id
}

// TestSubnetsOfAVRFNeverOverlap has many clients reserve subnets that hold
// each other, while another VRF has the same ones.
func TestSubnetsOfAVRFNeverOverlap(t *testing.T) {
	server, other := replicas(t)
	servers := []*apiservertest.Server{server, other}
	in := "/projects/" + server.ProjectID
	for round := range 5 {
		vrf := made(t, server, in+"/vrfs", fmt.Sprintf(`{"name":"router %d","metro":"da","ip_ranges":["10.0.0.0/8"]}`, round))
		var won atomic.Int32
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				answer, object := raw(t, servers[i%2], http.MethodPost, in+"/ips", fmt.Sprintf(`{"type":"vrf","vrf_id":%q,"network":"10.0.0.0","cidr":%d}`, vrf, 22+i))
				switch answer.StatusCode {
				case http.StatusCreated:
					won.Add(1)
				case http.StatusUnprocessableEntity:
				default:
					t.Errorf("reserving: %d %v, want 422 for all but one", answer.StatusCode, object)
				}
			})
		}
		wait.Wait()
		if won.Load() != 1 {
			t.Errorf("%d clients were given 10.0.0.0, want 1", won.Load())
		}
	}
}

// TestNamesOfVRFsAreTakenOnce has many clients want the same name.
func TestNamesOfVRFsAreTakenOnce(t *testing.T) {
	server, other := replicas(t)
	servers := []*apiservertest.Server{server, other}
	path := "/projects/" + server.ProjectID + "/vrfs"
	var won atomic.Int32
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			if answer, _ := raw(t, servers[i%2], http.MethodPost, path, `{"name":"wanted","metro":"da"}`); answer.StatusCode == http.StatusCreated {
				won.Add(1)
			}
		})
	}
	wait.Wait()
	if won.Load() != 1 {
		t.Errorf("%d clients were given the name, want 1", won.Load())
	}
	for i := range 7 {
		made(t, server, path, fmt.Sprintf(`{"name":"%d","metro":"da"}`, i))
	}
	answer, object := raw(t, server, http.MethodPost, path, `{"name":"ninth","metro":"da"}`)
	if answer.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(fmt.Sprint(errorsOf(object)), "8 at most") {
		t.Errorf("a ninth VRF: %d %v", answer.StatusCode, object)
	}
}

// TestAddressesOfAVRFAreNobodyElses has a VRF hold the very addresses that
// devices have of their own, which deleting its reservation must leave alone.
func TestAddressesOfAVRFAreNobodyElses(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	in := "/projects/" + server.ProjectID
	device := activeDevice(t, c, server.ProjectID, order("same"))
	private := device.IPAddresses[2]
	network := private.Address[:strings.LastIndexByte(private.Address, '.')] + ".0"
	vrf := made(t, server, in+"/vrfs", `{"name":"same","metro":"da","ip_ranges":["10.0.0.0/8"]}`)
	reservation := made(t, server, in+"/ips", fmt.Sprintf(`{"type":"vrf","vrf_id":%q,"network":%q,"cidr":24}`, vrf, network))
	_, err := c.AssignIP(t.Context(), device.ID, network)
	refusedWith(t, "assigning an address of the VRF", err, "is in no elastic IP reservation")
	must(t, "deleting the reservation", c.DeleteIP(t.Context(), reservation))
	after, err := c.Device(t.Context(), device.ID)
	must(t, "reading the device", err)
	checkAddresses(t, after)
}

// TestAVRFLosesWhatIsOutsideItsRanges takes a range from a VRF that has a
// gateway with a route and neighbors in it.
func TestAVRFLosesWhatIsOutsideItsRanges(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	in := "/projects/" + server.ProjectID
	network := inDallas(t, c, server.ProjectID)
	vrf := made(t, server, in+"/vrfs", `{"name":"shrinks","metro":"da","ip_ranges":["10.0.0.0/16","10.1.0.0/16"],"bgp_dynamic_neighbors_enabled":true}`)
	stays := made(t, server, in+"/ips", fmt.Sprintf(`{"type":"vrf","vrf":%q,"network":"10.1.0.0","cidr":24}`, vrf))
	goes := made(t, server, in+"/ips", fmt.Sprintf(`{"type":"vrf","vrf_id":%q,"network":"10.0.0.0","cidr":24}`, vrf))
	gateway := made(t, server, in+"/metal-gateways", fmt.Sprintf(`{"virtual_network_id":%q,"ip_reservation_id":%q}`, network.ID, goes))
	route := made(t, server, "/vrfs/"+vrf+"/routes", `{"prefix":"0.0.0.0/0","next_hop":"10.0.0.2"}`)
	var neighbors []string
	for _, part := range []string{"10.0.0.64/26", "10.0.0.128/26"} {
		neighbors = append(neighbors, made(t, server, "/metal-gateways/"+gateway+"/bgp-dynamic-neighbors", fmt.Sprintf(`{"bgp_neighbor_range":%q,"bgp_neighbor_asn":65001}`, part)))
	}
	answer, object := raw(t, server, http.MethodPost, "/metal-gateways/"+gateway+"/bgp-dynamic-neighbors", `{"bgp_neighbor_range":"10.0.0.192/26","bgp_neighbor_asn":65001}`)
	if answer.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a third neighbor: %d %v", answer.StatusCode, object)
	}
	device := activeDevice(t, c, server.ProjectID, order("peer"))
	_, err := c.AssignPort(t.Context(), bond(device).ID, network.ID)
	must(t, "assigning", err)
	if _, shown := raw(t, server, http.MethodGet, "/bgp-dynamic-neighbors/"+neighbors[0], ""); shown["state"] != "active" {
		t.Errorf("with a port on its network a neighbor is %v", shown["state"])
	}
	answer, object = raw(t, server, http.MethodPut, "/vrfs/"+vrf, `{"local_asn":65123}`)
	if answer.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("changing the number of a VRF in use: %d %v", answer.StatusCode, object)
	}

	answer, object = raw(t, server, http.MethodPut, "/vrfs/"+vrf, `{"ip_ranges":["10.1.0.0/16"]}`)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("taking a range: %d %v", answer.StatusCode, object)
	}
	for _, path := range []string{"/ips/" + goes, "/metal-gateways/" + gateway, "/routes/" + route, "/bgp-dynamic-neighbors/" + neighbors[0], "/bgp-dynamic-neighbors/" + neighbors[1]} {
		if answer, _ := raw(t, server, http.MethodGet, path, ""); answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, answer.StatusCode)
		}
	}
	if answer, _ := raw(t, server, http.MethodGet, "/ips/"+stays, ""); answer.StatusCode != http.StatusOK {
		t.Errorf("a reservation in the other range: %d", answer.StatusCode)
	}
	shown, err := c.VirtualNetwork(t.Context(), network.ID)
	must(t, "reading the network", err)
	if len(shown.MetalGateways) != 0 {
		t.Errorf("the network still has %+v", shown.MetalGateways)
	}
}

// TestDevicesInLayer2HaveNoNeighbors asks for what is derived from addresses
// that a device in layer 2 does not have.
func TestDevicesInLayer2HaveNoNeighbors(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	device := activeDevice(t, c, server.ProjectID, order("silent"))
	if answer, object := raw(t, server, http.MethodPost, "/projects/"+server.ProjectID+"/bgp-configs", `{"deployment_type":"local","asn":65000}`); answer.StatusCode >= 300 {
		t.Fatalf("%d %v", answer.StatusCode, object)
	}
	made(t, server, "/devices/"+device.ID+"/bgp/sessions", `{"address_family":"ipv4"}`)
	_, err := c.ConvertLayer2(t.Context(), bond(device).ID)
	must(t, "converting", err)
	for _, path := range []string{"/bgp/neighbors", "/bgp/sessions", "/metadata", "/ips", "/events", ""} {
		if answer, object := raw(t, server, http.MethodGet, "/devices/"+device.ID+path, ""); answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %v", path, answer.StatusCode, object)
		}
	}
	answer, object := raw(t, server, http.MethodPost, "/devices/"+device.ID+"/actions", `{"type":"reinstall"}`)
	if answer.StatusCode != http.StatusAccepted {
		t.Errorf("reinstalling: %d %v", answer.StatusCode, object)
	}
	after := waitForState(t, c, device.ID, packet.StateActive)
	if bond(after).NetworkType != packet.NetworkTypeLayer2Bonded || len(after.IPAddresses) != 0 {
		t.Errorf("after a reinstallation it is %q with %+v", bond(after).NetworkType, after.IPAddresses)
	}
}
