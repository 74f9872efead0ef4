package apiserver_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// kindOf is the part of a route's path before its first parameter, without
// slashes around it: devices, bgp/sessions.
func kindOf(route apiserver.Route) string {
	before, _, _ := strings.Cut(route.Path, "{")
	return strings.Trim(before, "/")
}

// makeObjects makes one object of every kind that the paths of the API name,
// and returns their IDs by kind; see kindOf.
func makeObjects(t testing.TB, server *apiservertest.Server, token, project string) map[string]string {
	t.Helper()
	m := &maker{t: t, server: server, token: token, made: map[string]string{"projects": project}}
	in := "/projects/" + project

	c, err := packet.NewClient(packet.Config{BaseURL: server.URL, Token: token, QPS: -1, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	device := activeDevice(t, c, project, order("object"))
	m.made["devices"] = device.ID
	m.made["events"] = device.ProvisioningEvents[0].ID
	m.make("ips", in+"/ips", `{"type":"public_ipv4","quantity":1,"metro":"da"}`)
	m.send(http.MethodPost, in+"/bgp-configs", `{"deployment_type":"local","asn":65000}`)
	m.make("bgp/sessions", "/devices/"+device.ID+"/bgp/sessions", `{"address_family":"ipv4"}`)
	m.make("spot-market-requests", in+"/spot-market-requests",
		`{"max_bid_price":0.01,"metro":"da","instance_parameters":{"plan":"a3.large.x86","operating_system":"ubuntu_24_04"}}`)
	m.make("api-keys", in+"/api-keys", `{"description":"object"}`)
	m.make("user/api-keys", "/user/api-keys", `{"description":"object"}`)
	m.made["ports"] = device.NetworkPorts[0].ID
	m.make("virtual-networks", in+"/virtual-networks", `{"metro":"da"}`)
	m.make("vrfs", in+"/vrfs", `{"name":"object","metro":"da","ip_ranges":["192.168.0.0/16"],"bgp_dynamic_neighbors_enabled":true}`)
	m.make("VRF IPs", in+"/ips", `{"type":"vrf","vrf_id":"`+m.made["vrfs"]+`","network":"192.168.1.0","cidr":24}`)
	m.make("metal-gateways", in+"/metal-gateways",
		`{"virtual_network_id":"`+m.made["virtual-networks"]+`","ip_reservation_id":"`+m.made["VRF IPs"]+`"}`)
	m.make("routes", "/vrfs/"+m.made["vrfs"]+"/routes", `{"prefix":"0.0.0.0/0","next_hop":"192.168.1.10"}`)
	m.make("bgp-dynamic-neighbors", "/metal-gateways/"+m.made["metal-gateways"]+"/bgp-dynamic-neighbors",
		`{"bgp_neighbor_range":"192.168.1.128/25","bgp_neighbor_asn":65001}`)
	servers, err := server.ReserveHardware(t.Context(), apiserver.HardwareReservation{ProjectID: project, Plan: "c3.small.x86", Metro: "da"})
	if err != nil {
		t.Fatal(err)
	}
	m.made["hardware-reservations"] = servers[0]
	batches, err := c.CreateDeviceBatch(t.Context(), project, packet.BatchCreate{DeviceCreate: order("batch")})
	if err != nil {
		t.Fatal(err)
	}
	m.made["batches"] = batches[0].ID
	m.make("ssh-keys", in+"/ssh-keys", `{"label":"object","key":"`+testKey+`"}`)
	return m.made
}

// maker makes objects with plain requests.
type maker struct {
	t      testing.TB
	server *apiservertest.Server
	token  string
	made   map[string]string
}

func (m *maker) make(kind, path, body string) {
	m.t.Helper()
	var object struct{ ID string }
	if err := json.Unmarshal([]byte(m.send(http.MethodPost, path, body)), &object); err != nil || object.ID == "" {
		m.t.Fatalf("making one of %s: %v", kind, err)
	}
	m.made[kind] = object.ID
}

func (m *maker) send(method, path, body string) string {
	m.t.Helper()
	status, text := send(m.t, m.server, m.token, method, path, []byte(body))
	if status >= 300 {
		m.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return text
}
