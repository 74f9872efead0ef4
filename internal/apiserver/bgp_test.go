package apiserver_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// TestGlobalBGPIsReviewed turns the clock over the review of a request.
func TestGlobalBGPIsReviewed(t *testing.T) {
	clock := newClock()
	server := apiservertest.Start(t, apiservertest.Options{Profile: "realistic", Clock: clock})
	c := server.Client(t)
	ctx := t.Context()
	device, err := c.CreateDevice(ctx, server.ProjectID, order("global"))
	if err != nil {
		t.Fatal(err)
	}
	request := packet.BGPConfigRequest{DeploymentType: packet.BGPGlobal, ASN: 64496, UseCase: "anycast"}
	if err := c.RequestBGPConfig(ctx, server.ProjectID, request); err != nil {
		t.Fatal(err)
	}
	session := packet.BGPSessionCreate{AddressFamily: packet.BGPIPv4}
	if config, err := c.BGPConfig(ctx, server.ProjectID); err != nil || config.Status != packet.BGPRequested || config.Enabled() {
		t.Errorf("at first BGP is %+v (%v), want it requested", config, err)
	}
	if _, err := c.CreateBGPSession(ctx, device.ID, session); !packet.IsUnprocessable(err) || !strings.Contains(err.Error(), "BGP is not enabled") {
		t.Errorf("a session before the review: %v, want 422", err)
	}
	clock.advance(time.Hour)
	if config, err := c.BGPConfig(ctx, server.ProjectID); err != nil || !config.Enabled() {
		t.Errorf("an hour later BGP is %+v (%v), want it enabled", config, err)
	}
	if _, err := c.CreateBGPSession(ctx, device.ID, session); err != nil {
		t.Error(err)
	}
	// To ask again for the same changes nothing, and for another is refused.
	if err := c.RequestBGPConfig(ctx, server.ProjectID, request); err != nil {
		t.Error(err)
	}
	request.DeploymentType = packet.BGPLocal
	if err := c.RequestBGPConfig(ctx, server.ProjectID, request); !packet.IsUnprocessable(err) {
		t.Errorf("another deployment type: %v, want 422", err)
	}
}

// TestBGPRoutes checks what a device may announce, and what it is announced.
func TestBGPRoutes(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{Configure: func(cfg *apiserver.Config) { cfg.Control = true }})
	c := server.Client(t)
	ctx := t.Context()
	device := activeDevice(t, c, server.ProjectID, order("routes"))
	if err := c.RequestBGPConfig(ctx, server.ProjectID, packet.BGPConfigRequest{DeploymentType: packet.BGPGlobal, ASN: 64496}); err != nil {
		t.Fatal(err)
	}
	for path, body := range map[string]string{
		"projects/" + server.ProjectID + "/bgp-ranges": `{"range":"192.0.2.0/24"}`,
	} {
		if got := controlRequest(t, server, http.MethodPost, path, body); got != 200 {
			t.Fatalf("adding a range: %d", got)
		}
	}
	for _, wrong := range []string{`{"range":"192.0.2.128/25"}`, `{"range":"192.0.2.1/24"}`, `{"range":"x"}`, `{}`} {
		if got := controlRequest(t, server, http.MethodPost, "projects/"+server.ProjectID+"/bgp-ranges", wrong); got != 422 {
			t.Errorf("adding %s: %d, want 422", wrong, got)
		}
	}
	elastic := reserveIPs(t, c, server.ProjectID, packet.IPTypePublicIPv4, 1)
	block := reserveIPs(t, c, server.ProjectID, packet.IPTypePublicIPv4, 8)
	global := reserveIPs(t, c, server.ProjectID, packet.IPTypeGlobalIPv4, 1)
	if _, err := c.CreateIPReservation(ctx, server.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "am"}); err != nil {
		t.Fatal(err)
	}
	sessions := map[string]*packet.BGPSession{}
	for _, family := range []string{packet.BGPIPv4, packet.BGPIPv6} {
		session, err := c.CreateBGPSession(ctx, device.ID, packet.BGPSessionCreate{AddressFamily: family})
		if err != nil {
			t.Fatal(err)
		}
		sessions[family] = session
	}
	if err := c.UpdateBGPSession(ctx, sessions[packet.BGPIPv6].ID, true); err != nil {
		t.Fatal(err)
	}
	neighbors, err := c.BGPNeighbors(ctx, device.ID)
	if err != nil {
		t.Fatal(err)
	}
	private := ipBlocks(t, c, server.ProjectID, func(r *packet.IPReservation) bool { return r.Management && !r.Public && r.Metro.Code == "da" })[0]
	want := map[int][]string{
		4: {private.Network + "/25 false", elastic.Network + "/32 true", block.Network + "/29 false", global.Network + "/32 true", "192.0.2.0/24 false"},
		6: {"2001:db8::/56 false"},
	}
	for _, neighbor := range neighbors {
		var routes []string
		for _, route := range neighbor.RoutesIn {
			routes = append(routes, fmt.Sprintf("%s %v", route.Route, route.Exact))
		}
		if !slices.Equal(routes, want[neighbor.AddressFamily]) {
			t.Errorf("IPv%d: routes %q are taken, want %q", neighbor.AddressFamily, routes, want[neighbor.AddressFamily])
		}
		if out := len(neighbor.RoutesOut); out != map[int]int{4: 0, 6: 1}[neighbor.AddressFamily] {
			t.Errorf("IPv%d: %d routes are announced", neighbor.AddressFamily, out)
		}
	}
	config, err := c.BGPConfig(ctx, server.ProjectID)
	if err != nil || len(config.Ranges) != 1 || config.Ranges[0].Range != "192.0.2.0/24" || len(config.Sessions) != 2 {
		t.Errorf("BGP is %+v (%v), want the range and both sessions", config, err)
	}
}

// TestBGPSessionStatus has the switches report on a session.
func TestBGPSessionStatus(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{Configure: func(cfg *apiserver.Config) { cfg.Control = true }})
	c := server.Client(t)
	device := activeDevice(t, c, server.ProjectID, order("status"))
	if err := c.RequestBGPConfig(t.Context(), server.ProjectID, packet.BGPConfigRequest{DeploymentType: packet.BGPLocal, ASN: 65000}); err != nil {
		t.Fatal(err)
	}
	session, err := c.CreateBGPSession(t.Context(), device.ID, packet.BGPSessionCreate{AddressFamily: packet.BGPIPv4})
	if err != nil {
		t.Fatal(err)
	}
	if session.Status != "unknown" || len(session.LearnedRoutes) != 0 {
		t.Errorf("a new session is %+v, want its status unknown", session)
	}
	for body, status := range map[string]int{
		`{"status":"up,down","learned_routes":["198.18.1.1/32"]}`: 204,
		`{"status":"up,odd"}`:                       422,
		`{"status":"up","learned_routes":["nine"]}`: 422,
		`{}`: 422,
	} {
		if got := controlRequest(t, server, http.MethodPut, "bgp-sessions/"+session.ID, body); got != status {
			t.Errorf("%s: %d, want %d", body, got, status)
		}
	}
	sessions, err := c.ProjectBGPSessions(t.Context(), server.ProjectID)
	if err != nil || len(sessions) != 1 || sessions[0].Status != "up,down" || !slices.Equal(sessions[0].LearnedRoutes, []string{"198.18.1.1/32"}) {
		t.Errorf("the sessions are %+v (%v), want what was reported", sessions, err)
	}
	// Both forms of an update, and none of another.
	path := "/bgp/sessions/" + session.ID
	for body, status := range map[string]int{
		`true`: 200, `{"default_route":false}`: 200, `null`: 422, `{}`: 422, `"yes"`: 422, `[]`: 422, ``: 400, `tru`: 400,
	} {
		if answer, object := raw(t, server, "PUT", path, body); answer.StatusCode != status {
			t.Errorf("PUT %s: %d %v, want %d", body, answer.StatusCode, object, status)
		}
	}
}
