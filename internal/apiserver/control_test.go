package apiserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/pkg/packet"
)

func startControlled(t testing.TB) *apiservertest.Server {
	t.Helper()
	return apiservertest.Start(t, apiservertest.Options{Configure: func(cfg *apiserver.Config) { cfg.Control = true }})
}

// askControl sends a request to a control route and decodes its answer.
func askControl[T any](t *testing.T, server *apiservertest.Server, method, path, body string) (value T) {
	t.Helper()
	answer := ask(t, server, method, "/_packetyard/"+path, body, nil)
	if answer.StatusCode >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, answer.StatusCode, answer.body)
	}
	if answer.body != "" {
		if err := json.Unmarshal([]byte(answer.body), &value); err != nil {
			t.Fatalf("%s %s: %s: %v", method, path, answer.body, err)
		}
	}
	return value
}

func TestControlRoutesAreClosed(t *testing.T) {
	off := apiservertest.Start(t, apiservertest.Options{})
	on := startControlled(t)
	for _, path := range []string{"reset", "seed", "snapshot", "clock", "faults", "requests"} {
		method := map[string]string{"reset": "POST", "seed": "POST"}[path]
		if method == "" {
			method = "GET"
		}
		if answer := ask(t, off, method, "/_packetyard/"+path, "", nil); answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s without --control: %d, want 404", path, answer.StatusCode)
		}
		for _, token := range []string{"", "wrong"} {
			if answer := ask(t, on, method, "/_packetyard/"+path, "", map[string]string{"X-Auth-Token": token}); answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s with the token %q: %d, want 401", path, token, answer.StatusCode)
			}
		}
	}
	if answer := ask(t, on, "DELETE", "/_packetyard/clock", "", nil); answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != "GET, POST" {
		t.Errorf("DELETE clock: %d, Allow %q", answer.StatusCode, answer.Header.Get("Allow"))
	}
	bearer := map[string]string{"X-Auth-Token": "", "Authorization": "Bearer " + on.Token}
	if answer := ask(t, on, "GET", "/_packetyard/clock", "", bearer); answer.StatusCode != http.StatusOK {
		t.Errorf("with a bearer token: %d", answer.StatusCode)
	}
}

func TestReset(t *testing.T) {
	server := startControlled(t)
	client := server.Client(t)
	activeDevice(t, client, server.ProjectID, order("gone"))
	askControl[any](t, server, "POST", "faults", `{"status":503}`)
	askControl[any](t, server, "POST", "reset", "")
	devices, err := client.Devices(t.Context(), server.ProjectID, packet.DeviceFilter{})
	if err != nil || len(devices) != 0 {
		t.Errorf("%d devices, %v", len(devices), err)
	}
	reservations, err := client.IPReservations(t.Context(), server.ProjectID)
	if err != nil || len(reservations) != 0 {
		t.Errorf("%d reservations, %v", len(reservations), err)
	}
	// What there was is not in the way of what comes.
	activeDevice(t, client, server.ProjectID, order("new"))
}

// TestASlowRequestDoesNotHoldUpAReset has a rule keep a request waiting for
// longer than the test takes.
func TestASlowRequestDoesNotHoldUpAReset(t *testing.T) {
	server := startControlled(t)
	askControl[any](t, server, "POST", "faults", `{"id":"slow","operation":"findPlans","latency":"10m"}`)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/plans", nil)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("X-Auth-Token", server.Token)
		if answer, err := http.DefaultClient.Do(req); err == nil {
			_ = answer.Body.Close()
			t.Errorf("the request was answered: %s", answer.Status)
		}
	}()
	until(t, "the request waits", func() bool {
		list := askControl[struct{ Faults []struct{ Applied int } }](t, server, "GET", "faults", "")
		return len(list.Faults) == 1 && list.Faults[0].Applied == 1
	})
	askControl[any](t, server, "POST", "reset", "")
	cancel()
	<-ended
}

// TestResetsOneAfterTheOther stops the worker while it still takes over the
// machines, which ended the whole server.
func TestResetsOneAfterTheOther(t *testing.T) {
	server := startControlled(t)
	for range 50 {
		askControl[any](t, server, "POST", "reset", "")
	}
	if answer := ask(t, server, "GET", "/_packetyard/ready", "", nil); answer.StatusCode != http.StatusOK {
		t.Errorf("%d %s", answer.StatusCode, answer.body)
	}
}

func TestSnapshot(t *testing.T) {
	server := startControlled(t)
	client := server.Client(t)
	kept := activeDevice(t, client, server.ProjectID, order("kept"))
	saved := ask(t, server, "GET", "/_packetyard/snapshot", "", nil)
	if saved.StatusCode != http.StatusOK || strings.Contains(saved.body, server.Token) {
		t.Fatalf("%d, or the token is in it", saved.StatusCode)
	}
	if err := client.DeleteDevice(t.Context(), kept.ID, false); err != nil {
		t.Fatal(err)
	}
	other := activeDevice(t, client, server.ProjectID, order("other"))
	askControl[any](t, server, "PUT", "snapshot", saved.body)
	restored, err := client.Device(t.Context(), kept.ID)
	if err != nil || restored.State != packet.StateActive || restored.Hostname != "kept" || len(restored.IPAddresses) != 3 {
		t.Errorf("%+v, %v", restored, err)
	}
	if _, err := client.Device(t.Context(), other.ID); !packet.IsNotFound(err) {
		t.Errorf("what came after the snapshot: %v, want that it is not found", err)
	}

	for text, body := range map[string]string{
		"the records are of version 0":     `{}`,
		"belongs to no kind of record":     strings.Replace(saved.body, `"key":"devices/`, `"key":"gadgets/`, 1),
		"reading the record":               strings.Replace(saved.body, `"hostname":"kept"`, `"hostname":7`, 1),
		"is there twice":                   strings.Replace(saved.body, `"records":[`, `"records":[{"key":"devices/x","value":{}},{"key":"devices/x","value":{}},`, 1),
		`unknown field "recrods"`:          `{"recrods":[]}`,
		"unexpected EOF":                   `{`,
		"cannot unmarshal string into Go":  `{"version":"2"}`,
		"The request body is more than on": `{} {}`,
	} {
		answer := ask(t, server, "PUT", "/_packetyard/snapshot", body, nil)
		if answer.StatusCode < 400 || answer.StatusCode > 422 || !strings.Contains(strings.Join(answer.errors, "; "), text) {
			t.Errorf("%d %s, want an error with %q", answer.StatusCode, answer.body, text)
		}
	}
	if _, err := client.Device(t.Context(), kept.ID); err != nil {
		t.Errorf("after broken snapshots: %v", err)
	}
}

// TestSnapshotOfManyRecords replaces more records than etcd takes in one
// transaction, in an etcd of which others have a part.
func TestSnapshotOfManyRecords(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{
		EtcdEndpoints: apiservertest.StartEtcd(t), Configure: func(cfg *apiserver.Config) { cfg.Control = true },
	})
	askControl[any](t, server, "POST", "seed",
		`projects: [{id: `+server.ProjectID+`, devices: [{hostname: many, plan: c3.small.x86, operating_system: ubuntu_24_04, metro: da, count: 60}]}]`)
	client := server.Client(t)
	all := func() (active int) {
		devices, err := client.Devices(t.Context(), server.ProjectID, packet.DeviceFilter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, device := range devices {
			if device.State == packet.StateActive && len(device.IPAddresses) == 3 {
				active++
			}
		}
		return active
	}
	until(t, "the devices are active", func() bool { return all() == 60 })
	saved := ask(t, server, http.MethodGet, "/_packetyard/snapshot", "", nil)
	askControl[any](t, server, "POST", "reset", "")
	if left := all(); left != 0 {
		t.Errorf("%d devices are left", left)
	}
	askControl[any](t, server, "PUT", "snapshot", saved.body)
	if restored := all(); restored != 60 {
		t.Errorf("%d devices are restored, want 60", restored)
	}
}

func TestClock(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{Profile: lifecycle.Realistic, Configure: func(cfg *apiserver.Config) {
		cfg.Control = true
	}})
	type state struct {
		Now     time.Time
		Stopped bool
	}
	before := askControl[state](t, server, "GET", "clock", "")
	client := server.Client(t)
	device, err := client.CreateDevice(t.Context(), server.ProjectID, order("slow"))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the device is active, which takes minutes", func() bool {
		askControl[state](t, server, "POST", "clock", `{"advance":"1m"}`)
		device, err = client.Device(t.Context(), device.ID)
		return err == nil && device.State == packet.StateActive
	})
	stopped := askControl[state](t, server, "POST", "clock", `{"stop":true,"advance":"1h"}`)
	if again := askControl[state](t, server, "GET", "clock", ""); !again.Stopped || !again.Now.Equal(stopped.Now) || again.Now.Sub(before.Now) < time.Hour {
		t.Errorf("%+v after %+v, want that it stands still", again, stopped)
	}
	set := stopped.Now.Add(24 * time.Hour)
	if running := askControl[state](t, server, "POST", "clock", `{"stop":false,"set":"`+set.Format(time.RFC3339)+`"}`); running.Stopped || running.Now.Before(set.Truncate(time.Second)) {
		t.Errorf("%+v, want that it goes on from %s", running, set)
	}
	for text, body := range map[string]string{
		"does not go back":      `{"set":"2001-01-01T00:00:00Z"}`,
		"exclude each other":    `{"set":"2100-01-01T00:00:00Z","advance":"1h"}`,
		"the change is empty":   `{}`,
		"unknown field":         `{"forward":"1h"}`,
		"too far in the future": `{"set":"9999-01-01T00:00:00Z"}`,
		"invalid duration":      `{"advance":"soon"}`,
	} {
		if answer := ask(t, server, "POST", "/_packetyard/clock", body, nil); answer.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(strings.Join(answer.errors, "; "), text) {
			t.Errorf("%s: %d %s, want 422 with %q", body, answer.StatusCode, answer.body, text)
		}
	}
}

func TestFaults(t *testing.T) {
	server := startControlled(t)
	const plans = "/metal/v1/plans"
	statuses := func(n int) (all []int) {
		for range n {
			all = append(all, ask(t, server, "GET", plans, "", nil).StatusCode)
		}
		return all
	}
	add := func(rule string) { t.Helper(); askControl[any](t, server, "POST", "faults", rule) }
	clearAll := func() { t.Helper(); askControl[any](t, server, "DELETE", "faults", "") }
	same := func(what string, got, want []int) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%s: %v, want %v", what, got, want)
			}
		}
	}

	add(`{"id":"a","operation":"findPlans","skip":1,"count":2,"status":503,"errors":["No."],"retry_after":7}`)
	same("skip and count", statuses(5), []int{200, 503, 503, 200, 200})
	list := askControl[struct {
		Faults []struct{ Matched, Applied int }
	}](t, server, "GET", "faults", "")
	if len(list.Faults) != 1 || list.Faults[0].Matched != 5 || list.Faults[0].Applied != 2 {
		t.Errorf("%+v, want that 2 of 5 went wrong", list)
	}
	askControl[any](t, server, "DELETE", "faults/a", "")
	if answer := ask(t, server, "DELETE", "/_packetyard/faults/a", "", nil); answer.StatusCode != http.StatusNotFound {
		t.Errorf("deleting a rule again: %d", answer.StatusCode)
	}

	add(`{"status":500,"probability":0.5,"seed":42}`)
	first := statuses(20)
	clearAll()
	add(`{"status":500,"probability":0.5,"seed":42}`)
	same("the same seed", statuses(20), first)
	clearAll()
	add(`{"status":500,"probability":0}`)
	add(`{"status":500,"operation":"createDevice"}`)
	add(`{"status":500,"caller":"somebody else"}`)
	same("rules that are about others", statuses(3), []int{200, 200, 200})
	clearAll()
	add(`{"status":429,"caller":"admin"}`)
	same("a rule about the token's name", statuses(1), []int{429})
	clearAll()

	add(`{"operation":"createDevice","count":1,"status":500,"after_handling":true}`)
	client := server.Client(t)
	if _, err := client.CreateDevice(t.Context(), server.ProjectID, order("made")); err == nil {
		t.Error("the answer of the creation was not lost")
	}
	devices, err := client.Devices(t.Context(), server.ProjectID, packet.DeviceFilter{})
	if err != nil || len(devices) != 1 {
		t.Errorf("%d devices, %v, want the one whose answer was lost", len(devices), err)
	}

	add(`{"reset":true,"count":1,"latency":"1ms"}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/plans", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Transport{}).RoundTrip(req)
	if err == nil {
		_ = answer.Body.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("%v, want a connection that was reset", err)
	}

	for text, rule := range map[string]string{
		"the rule does nothing":             `{"operation":"findPlans"}`,
		`operation "x" is no operation`:     `{"operation":"x","status":500}`,
		"status 200 is not between 400":     `{"status":200}`,
		"probability 2 is not between 0":    `{"status":500,"probability":2}`,
		"reset and status exclude":          `{"status":500,"reset":true}`,
		"count -1 is less than 0":           `{"status":500,"count":-1}`,
		"latency 20m0s is not between":      `{"latency":"20m"}`,
		`unknown field "propability"`:       `{"propability":1}`,
		"errors and retry_after need a sta": `{"latency":"1s","errors":["x"]}`,
	} {
		if answer := ask(t, server, "POST", "/_packetyard/faults", rule, nil); answer.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(strings.Join(answer.errors, "; "), text) {
			t.Errorf("%s: %d %s, want 422 with %q", rule, answer.StatusCode, answer.body, text)
		}
	}
}

func TestRequestLog(t *testing.T) {
	server := startControlled(t)
	ask(t, server, "GET", "/metal/v1/plans?type=standard", "", nil)
	ask(t, server, "GET", "/metal/v1/plans", "", map[string]string{"X-Auth-Token": "wrong"})
	ask(t, server, "GET", "/metal/v1/user", "", nil)
	log := askControl[struct {
		Requests []struct {
			Operation, Path, Caller, ID string
			Status                      int
		}
	}](t, server, "GET", "requests?operation=findPlans", "")
	if len(log.Requests) != 2 || log.Requests[0].Path != "/metal/v1/plans?type=standard" || log.Requests[0].Caller != "admin" ||
		log.Requests[0].Status != 200 || log.Requests[0].ID == "" || log.Requests[1].Status != 401 || log.Requests[1].Caller != "" {
		t.Errorf("%+v", log)
	}
	type counts struct {
		Total  int
		Counts []struct {
			Operation, Caller string
			Status, Count     int
		}
	}
	if all := askControl[counts](t, server, "GET", "requests/counts?caller=admin", ""); all.Total != 2 || len(all.Counts) != 2 || all.Counts[0].Operation != "findCurrentUser" {
		t.Errorf("%+v", all)
	}
	askControl[any](t, server, "DELETE", "requests", "")
	if all := askControl[counts](t, server, "GET", "requests/counts", ""); all.Total != 0 {
		t.Errorf("after clearing: %+v", all)
	}
	if answer := ask(t, server, "GET", "/_packetyard/requests?limit=0", "", nil); answer.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("limit 0: %d", answer.StatusCode)
	}
}

const seedYAML = `
users:
- email: ada@example.com
  organization: Engines
  tokens: [{token: ada-token, description: ada}]
projects:
- id: 11111111-2222-4333-8444-555555555555
  name: web
  organization: Engines
  max_devices: {default: 50}
  tokens:
  - {token: web-token, description: web}
  - {token: web-reader, description: reader, read_only: true}
  bgp: {deployment_type: local, asn: 65000}
  virtual_networks: [{metro: da, vxlan: 1234, description: storage}]
  ips: [{type: public_ipv4, quantity: 2, metro: da, tags: [vip]}]
  hardware_reservations: [{plan: c3.small.x86, metro: da, count: 3}]
  devices:
  - {hostname: web, plan: c3.small.x86, operating_system: ubuntu_24_04, metro: da, count: 3, tags: [seeded]}
capacity:
- {plan: m3.large.x86, metro: da, servers: 0}
`

func TestSeed(t *testing.T) {
	server := startControlled(t)
	seeded := askControl[struct {
		Projects []struct {
			ID, Name string
			Made     map[string][]string
		}
	}](t, server, "POST", "seed", seedYAML)
	const project = "11111111-2222-4333-8444-555555555555"
	if len(seeded.Projects) != 1 || seeded.Projects[0].ID != project || len(seeded.Projects[0].Made["devices"]) != 3 ||
		len(seeded.Projects[0].Made["hardware_reservations"]) != 3 || len(seeded.Projects[0].Made["virtual_networks"]) != 1 {
		t.Errorf("%+v", seeded)
	}
	for _, token := range []string{"ada-token", "web-token", "web-reader", server.Token} {
		client, err := packet.NewClient(packet.Config{BaseURL: server.URL, Token: token, QPS: -1, Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		devices, err := client.Devices(t.Context(), project, packet.DeviceFilter{})
		if err != nil || len(devices) != 3 || devices[0].Hostname != "web-1" {
			t.Errorf("%s sees %d devices: %v", token, len(devices), err)
		}
	}
	if answer := ask(t, server, "GET", "/metal/v1/projects/"+server.ProjectID, "", map[string]string{"X-Auth-Token": "web-token"}); answer.StatusCode != http.StatusNotFound {
		t.Errorf("the token of one project sees another: %d", answer.StatusCode)
	}
	full := `{"hostname":"x","plan":"m3.large.x86","operating_system":"ubuntu_24_04","metro":"da"}`
	if answer := ask(t, server, "POST", "/metal/v1/projects/"+project+"/devices", full, nil); answer.StatusCode != http.StatusServiceUnavailable && answer.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a device without capacity: %d %s", answer.StatusCode, answer.body)
	}
}

// TestTheSeedOfTheDocuments plants what the page on seeds shows.
func TestTheSeedOfTheDocuments(t *testing.T) {
	page, err := os.ReadFile("../../docs/api-server/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	seed, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the page has no seed")
	}
	server := startControlled(t)
	seeded := askControl[struct {
		Projects []struct{ Made map[string][]string }
	}](t, server, "POST", "seed", seed)
	for kind, count := range map[string]int{
		"ssh_keys": 1, "virtual_networks": 1, "vrfs": 1, "ips": 1, "hardware_reservations": 4, "devices": 3,
	} {
		if got := len(seeded.Projects[0].Made[kind]); got != count {
			t.Errorf("%d %s were made, want %d", got, kind, count)
		}
	}
}

// TestASeedIsPlantedWholeOrNotAtAll breaks seeds at every stage.
func TestASeedIsPlantedWholeOrNotAtAll(t *testing.T) {
	server := startControlled(t)
	before := askControl[struct{ Records []any }](t, server, "GET", "snapshot", "")
	for text, seed := range map[string]string{
		`unknown field "projetcs"`:                  "projetcs: []",
		`key "name" already set`:                    "projects: [{name: a, name: b}]",
		`projects[0].id "x" is not a UUID`:          "projects: [{id: x}]",
		"projects[0].name can't be blank":           "projects: [{}]",
		`capacity[0].metro "zz" is not one of`:      "capacity: [{metro: zz, servers: 1}]",
		"projects[0].tokens[1].token is that of":    "projects: [{name: a, tokens: [{token: sEcReT}, {token: sEcReT}]}]",
		"users[0].email":                            "users: [{email: ada}]",
		"projects[0].devices[0]: plan":              "projects: [{name: a, devices: [{plan: nothing, operating_system: ubuntu_24_04, metro: da}]}]",
		"projects[0].devices[1]: operating_system":  "projects: [{name: a, devices: [{plan: c3.small.x86, operating_system: ubuntu_24_04, metro: da}, {plan: c3.small.x86, operating_system: dos, metro: da}]}]",
		"projects[0].tokens[0].token is one of the": "projects: [{name: a, tokens: [{token: " + server.Token + "}]}]",
	} {
		answer := ask(t, server, "POST", "/_packetyard/seed", seed, nil)
		if answer.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(strings.Join(answer.errors, "; "), text) {
			t.Errorf("%s: %d %s, want 422 with %q", seed, answer.StatusCode, answer.body, text)
		}
		if strings.Contains(answer.body, "sEcReT") || strings.Contains(answer.body, server.Token) {
			t.Errorf("a secret is repeated: %s", answer.body)
		}
		after := askControl[struct{ Records []any }](t, server, "GET", "snapshot", "")
		if len(after.Records) != len(before.Records) {
			t.Errorf("%s: there are %d records, and were %d", seed, len(after.Records), len(before.Records))
		}
	}
}

// TestTheSeedOfTheStartIsPlantedOnce starts a server with a seed twice.
func TestTheSeedOfTheStartIsPlantedOnce(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "seed.yaml")
	if err := os.WriteFile(file, []byte(seedYAML), 0o600); err != nil {
		t.Fatal(err)
	}
	options := apiservertest.Options{DataDir: dir, Configure: func(cfg *apiserver.Config) { cfg.SeedFile = file }}
	for range 2 {
		server := apiservertest.Start(t, options)
		devices, err := server.Client(t).Devices(t.Context(), "11111111-2222-4333-8444-555555555555", packet.DeviceFilter{})
		if err != nil || len(devices) != 3 {
			t.Errorf("%d devices, %v, want 3", len(devices), err)
		}
		server.Stop(t)
	}
}
