package apiserver_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// limited is a server with few servers to rent.
func limited(t *testing.T, limits ...apiserver.Capacity) *apiservertest.Server {
	t.Helper()
	return apiservertest.Start(t, apiservertest.Options{Configure: func(cfg *apiserver.Config) { cfg.Capacity = limits }})
}

// capacityOf is the capacity of c3.small.x86 in Dallas.
func capacityOf(t *testing.T, c *packet.Client) (level string, left int) {
	t.Helper()
	report, err := c.CapacityOfMetros(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan := report["da"]["c3.small.x86"]
	if plan.AvailableServers == nil {
		return plan.Level, -1
	}
	return plan.Level, *plan.AvailableServers
}

func TestCapacityIsTakenAndGivenBack(t *testing.T) {
	server := limited(t, apiserver.Capacity{Plan: "c3.small.x86", Metro: "da", Servers: 2})
	c := server.Client(t)
	if level, left := capacityOf(t, c); level != packet.CapacityCritical || left != 2 {
		t.Errorf("capacity of 2 servers is %s, %d", level, left)
	}
	first := activeDevice(t, c, server.ProjectID, order("first"))
	activeDevice(t, c, server.ProjectID, order("second"))
	if level, left := capacityOf(t, c); level != packet.CapacityUnavailable || left != 0 {
		t.Errorf("capacity without a server left is %s, %d", level, left)
	}
	_, err := c.CreateDevice(t.Context(), server.ProjectID, order("third"))
	if err == nil || !strings.Contains(err.Error(), "503") ||
		!strings.Contains(err.Error(), "The metro da has no provisionable c3.small.x86 servers matching your criteria") {
		t.Errorf("a device without a server: %v", err)
	}
	in := func(place string) (int, []string) {
		answer, object := raw(t, server, "POST", "/projects/"+server.ProjectID+"/devices",
			`{"plan":"c3.small.x86","operating_system":"ubuntu_24_04",`+place+`}`)
		return answer.StatusCode, errorsOf(object)
	}
	if status, texts := in(`"facility":["da11"]`); status != http.StatusServiceUnavailable ||
		texts[0] != "The facility da11 has no provisionable c3.small.x86 servers matching your criteria" {
		t.Errorf("in a facility of the metro: %d %q", status, texts)
	}
	if status, texts := in(`"facility":["da11","sv15"]`); status != http.StatusCreated {
		t.Errorf("with a second choice: %d %q", status, texts)
	}
	other := order("elsewhere")
	other.Metro = "any"
	if device, err := c.CreateDevice(t.Context(), server.ProjectID, other); err != nil || device.Metro.Code == "da" {
		t.Errorf("in any metro: %v, %v", device, err)
	}
	// What a limit is not about is not limited.
	other = order("another-plan")
	other.Plan = "c3.medium.x86"
	if _, err := c.CreateDevice(t.Context(), server.ProjectID, other); err != nil {
		t.Errorf("another plan: %v", err)
	}

	if err := c.DeleteDevice(t.Context(), first.ID, false); err != nil {
		t.Fatal(err)
	}
	waitGone(t, c, first.ID)
	if _, left := capacityOf(t, c); left != 1 {
		t.Errorf("%d servers are left after one was given back, want 1", left)
	}
	if _, err := c.CreateDevice(t.Context(), server.ProjectID, order("fourth")); err != nil {
		t.Errorf("after one was given back: %v", err)
	}
}

// TestCapacityIsNeverTakenTwice has many clients ask for the last servers.
func TestCapacityIsNeverTakenTwice(t *testing.T) {
	const servers, clients = 5, 20
	server := limited(t, apiserver.Capacity{Servers: servers})
	c := server.Client(t)
	var mu sync.Mutex
	var made, refused int
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			_, err := c.CreateDevice(t.Context(), server.ProjectID, order(""))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				made++
			case strings.Contains(err.Error(), "no provisionable"):
				refused++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made != servers || refused != clients-servers {
		t.Errorf("%d clients got one of %d servers, %d got none", made, servers, refused)
	}
}

func TestCapacityOnCommand(t *testing.T) {
	server := limited(t, apiserver.Capacity{Servers: 100})
	c := server.Client(t)
	set := func(limits ...apiserver.Capacity) {
		t.Helper()
		if err := server.SetCapacity(t.Context(), limits...); err != nil {
			t.Fatal(err)
		}
	}
	want := func(level string, left int) {
		t.Helper()
		if l, n := capacityOf(t, c); l != level || n != left {
			t.Errorf("capacity is %s, %d, want %s, %d", l, n, level, left)
		}
	}
	want(packet.CapacityNormal, 100)
	set(apiserver.Capacity{Plan: "c3.small.x86", Servers: 14})
	want(packet.CapacityLimited, 14)
	// A metro that is down is down, whatever is said about a plan.
	set(apiserver.Capacity{Metro: "da", Servers: 0})
	want(packet.CapacityUnavailable, 0)
	set(apiserver.Capacity{Plan: "c3.small.x86", Metro: "da", Servers: 4})
	want(packet.CapacityCritical, 4)
	set(apiserver.Capacity{Plan: "c3.small.x86", Metro: "da", Servers: -1})
	want(packet.CapacityNormal, -1)
	if err := server.ResetCapacity(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(packet.CapacityNormal, 100)
	if err := server.SetCapacity(t.Context(), apiserver.Capacity{Plan: "c9", Metro: "xx"}); err == nil ||
		!strings.Contains(err.Error(), `plan "c9" is not one of`) || !strings.Contains(err.Error(), `metro "xx" is not one of`) {
		t.Errorf("limits of what does not exist: %v", err)
	}
}

// TestCapacityCheckEchoesTheQuantity sends what the SDK and packngo send,
// which differ in the type of one field and break on the other's.
func TestCapacityCheckEchoesTheQuantity(t *testing.T) {
	server := limited(t, apiserver.Capacity{Servers: 2})
	for _, test := range []struct {
		path, entry, quantity string
		available             bool
	}{
		{"/capacity/metros", `"metro":"da","plan":"c3.small.x86"`, `"2"`, true},
		{"/capacity/metros", `"metro":"da","plan":"c3.small.x86"`, `3`, false},
		{"/capacity", `"facility":"da11","plan":"c3.small.x86"`, `2`, true},
		{"/capacity", `"facility":"da11","plan":"c3.small.x86"`, `"3"`, false},
	} {
		answer, object := raw(t, server, "POST", test.path, `{"servers":[{`+test.entry+`,"quantity":`+test.quantity+`}]}`)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %v", test.path, answer.StatusCode, object)
			continue
		}
		entry := object["servers"].([]any)[0].(map[string]any)
		quantity, err := json.Marshal(entry["quantity"])
		if err != nil {
			t.Fatal(err)
		}
		if string(quantity) != test.quantity || entry["available"] != test.available || entry["plan"] != "c3.small.x86" {
			t.Errorf("%s of %s answers %v, want it to be %v", test.path, test.quantity, entry, test.available)
		}
	}
	for body, text := range map[string]string{
		`{}`: "servers can't be blank",
		`{"servers":[{"metro":"xx","plan":"c3.small.x86"}]}`:                "servers[0].metro \"xx\" is not one of",
		`{"servers":[{"metro":"da","plan":"c9"}]}`:                          "servers[0].plan \"c9\" is not one of",
		`{"servers":[{"metro":"da","plan":"c3.small.x86","quantity":"x"}]}`: "servers[0].quantity \"x\" is not a whole number",
		`{"servers":[{"metro":"da","plan":"c3.small.x86","quantity":-1}]}`:  "servers[0].quantity -1 is not a whole number",
		`{"servers":[{"metro":"da","plan":"c3.small.x86","quantity":{}}]}`:  "servers[0].quantity {} is not a whole number",
	} {
		answer, object := raw(t, server, "POST", "/capacity/metros", body)
		if texts := errorsOf(object); answer.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(texts[0], text) {
			t.Errorf("%s: %d %q, want %q", body, answer.StatusCode, texts, text)
		}
	}
}

func TestProjectQuota(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	if err := server.SetMaxDevices(t.Context(), server.ProjectID, map[string]int{"c3.small.x86": 1, "default": 0}); err != nil {
		t.Fatal(err)
	}
	project, err := c.Project(t.Context(), server.ProjectID)
	if err != nil || !strings.Contains(string(project.MaxDevices), `"c3.small.x86":1`) {
		t.Errorf("max_devices is %s (%v)", project.MaxDevices, err)
	}
	device := activeDevice(t, c, server.ProjectID, order("first"))
	want := `plan "c3.small.x86" is over the project's quota: it has 1 of the 1 devices that max_devices allows`
	if _, err := c.CreateDevice(t.Context(), server.ProjectID, order("second")); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("over the quota: %v", err)
	}
	other := order("other")
	other.Plan = "c3.medium.x86"
	if _, err := c.CreateDevice(t.Context(), server.ProjectID, other); err == nil || !strings.Contains(err.Error(), "it has 0 of the 0 devices") {
		t.Errorf("a plan that is not allowed: %v", err)
	}
	if err := c.DeleteDevice(t.Context(), device.ID, false); err != nil {
		t.Fatal(err)
	}
	waitGone(t, c, device.ID)
	if _, err := c.CreateDevice(t.Context(), server.ProjectID, order("again")); err != nil {
		t.Errorf("within the quota again: %v", err)
	}
}
