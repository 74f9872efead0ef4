package packet

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	testToken   = "kT7yQ2secret9Zp"
	testProject = "8c5a5a2e-6f1b-4d3c-9b6e-0d2f3a4b5c6d"
	testDevice  = "e61a1f9c-3c4f-4a2a-9a55-6f2b8e0c7d10"
)

// fakeClock stands still, but for the sleeps it is asked for, which it
// records and does not wait for.
type fakeClock struct {
	mu     sync.Mutex
	now    time.Time
	sleeps []time.Duration
}

func newFakeClock() *fakeClock {
	return &fakeClock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.sleeps = append(c.sleeps, d)
	return nil
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *fakeClock) slept() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sleeps)
}

// answer is one scripted answer of a server.
type answer struct {
	status int
	header map[string]string
	body   string
	// hangUp breaks the connection instead.
	hangUp bool
}

func apiError(status int, messages ...string) answer {
	body, err := json.Marshal(ErrorBody{Errors: messages})
	if err != nil {
		panic(err)
	}
	return answer{status: status, header: map[string]string{"Content-Type": "application/json; charset=utf-8", "X-Request-Id": "req-1"}, body: string(body)}
}

func ok(body string) answer {
	return answer{status: http.StatusOK, header: map[string]string{"Content-Type": "application/json; charset=utf-8"}, body: body}
}

// script is a server that gives its answers one after the other, the last one
// for ever, and records what it was asked.
type script struct {
	*httptest.Server
	mu       sync.Mutex
	answers  []answer
	requests []*http.Request
}

func newScript(t *testing.T, answers ...answer) *script {
	t.Helper()
	s := &script{answers: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *script) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Clone(context.Background()))
	next := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	s.mu.Unlock()
	if next.hangUp {
		panic(http.ErrAbortHandler)
	}
	for key, value := range next.header {
		w.Header().Set(key, value)
	}
	w.WriteHeader(next.status)
	_, _ = w.Write([]byte(next.body))
}

func (s *script) asked() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// newTestClient makes a client of a server at url, with a clock that does not
// wait and no chance in its waits.
func newTestClient(t testing.TB, url string, change ...func(*Config)) (*Client, *fakeClock) {
	t.Helper()
	clock := newFakeClock()
	config := Config{
		BaseURL: url + "/metal/v1/", Token: testToken, Clock: clock, QPS: -1,
		Registerer: prometheus.NewPedanticRegistry(),
		// A connection of its own for each client, so that closing one server
		// has no effect on another's.
		HTTPClient: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
	}
	for _, f := range change {
		f(&config)
	}
	c, err := NewClient(config)
	if err != nil {
		t.Fatalf("NewClient: %v", err)
	}
	c.jitter = func() float64 { return 1 }
	t.Cleanup(c.http.CloseIdleConnections)
	return c, clock
}

// deviceJSON is a device as the API writes it, with what clients dereference.
func deviceJSON(id, hostname string) string {
	return fmt.Sprintf(`{
  "id": %[1]q, "short_id": %[3]q, "hostname": %[2]q, "description": null, "state": "active",
  "tags": ["capp:cluster-id:demo", "kubernetes.io/role:node"], "image_url": null, "billing_cycle": "hourly", "user": "root",
  "iqn": "iqn.2026-11.net.packet:device.%[3]s", "locked": false, "bonding_mode": 4,
  "created_at": "2026-11-21T11:57:12Z", "updated_at": "2026-11-21T11:59:02Z", "ipxe_script_url": null, "always_pxe": false,
  "storage": {}, "customdata": {"rack": 7}, "spot_instance": false, "root_password": "hunter2", "userdata": "#cloud-config\n",
  "operating_system": {"id": "d3ed0f5e-3a2b-4a0d-9e0a-1b2c3d4e5f60", "slug": "ubuntu_24_04", "name": "Ubuntu 24.04 LTS", "distro": "ubuntu",
    "version": "24.04", "preinstallable": false, "pricing": {}, "licensed": false, "provisionable_on": ["c3.small.x86"]},
  "facility": {"id": "b2d7c1a0-1111-4222-8333-444455556666", "name": "Dallas 11", "code": "da11", "features": ["baremetal"],
    "address": {"address": "1950 N Stemmons Fwy", "city": "Dallas", "state": "TX", "zip_code": "75207", "country": "US"},
    "metro": {"id": "d3d6b29f-042d-43b7-b3ce-0bf53d5754ca", "name": "Dallas", "code": "da", "country": "US"}},
  "metro": {"id": "d3d6b29f-042d-43b7-b3ce-0bf53d5754ca", "name": "Dallas", "code": "da", "country": "US"},
  "project": {"href": "/metal/v1/projects/8c5a5a2e-6f1b-4d3c-9b6e-0d2f3a4b5c6d"},
  "ssh_keys": [{"href": "/metal/v1/ssh-keys/0a1b2c3d-0000-4000-8000-000000000001"}], "volumes": [],
  "ip_addresses": [
    {"id": "11111111-1111-4111-8111-111111111111", "address_family": 4, "netmask": "255.255.255.254", "created_at": "2026-11-21T11:57:13Z",
     "public": true, "cidr": 31, "management": true, "manageable": true, "enabled": true, "global_ip": false, "network": "198.18.1.4",
     "address": "198.18.1.5", "gateway": "198.18.1.4", "href": "/metal/v1/ips/11111111-1111-4111-8111-111111111111",
     "assigned_to": {"href": "/metal/v1/devices/%[1]s"}, "parent_block": {"href": "/metal/v1/ips/22222222-2222-4222-8222-222222222222"}},
    {"id": "33333333-3333-4333-8333-333333333333", "address_family": 6, "netmask": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
     "public": true, "cidr": 127, "management": true, "manageable": true, "enabled": true, "global_ip": false, "network": "2001:db8::",
     "address": "2001:db8::1", "gateway": "2001:db8::", "href": "/metal/v1/ips/33333333-3333-4333-8333-333333333333"},
    {"id": "44444444-4444-4444-8444-444444444444", "address_family": 4, "netmask": "255.255.255.254",
     "public": false, "cidr": 31, "management": true, "manageable": true, "enabled": true, "global_ip": false, "network": "10.0.0.0",
     "address": "10.0.0.1", "gateway": "10.0.0.0", "href": "/metal/v1/ips/44444444-4444-4444-8444-444444444444",
     "parent_block": {"network": "10.0.0.0", "netmask": "255.255.255.128", "cidr": 25, "href": "/metal/v1/ips/55555555-5555-4555-8555-555555555555"}}],
  "plan": {"id": "9c3f5a0e-2222-4333-8444-555566667777", "slug": "c3.small.x86", "name": "c3.small.x86", "line": "baremetal", "class": "c3.small.x86",
    "specs": {"cpus": [{"count": 1, "type": "Intel Xeon E-2278G 8-Core Processor @ 3.40GHz"}], "memory": {"total": "32GB"},
      "drives": [{"count": 2, "size": "480GB", "type": "SSD", "category": "boot"}], "nics": [{"count": 2, "type": "10Gbps"}],
      "features": {"raid": true, "txt": true, "uefi": true}}, "legacy": false, "deployment_types": ["on_demand"],
    "available_in": [{"href": "/metal/v1/facilities/b2d7c1a0-1111-4222-8333-444455556666"}], "pricing": {"hour": 0.75}},
  "network_ports": [
    {"id": "66666666-6666-4666-8666-666666666666", "type": "NetworkBondPort", "name": "bond0", "data": {"bonded": true}, "network_type": "layer3",
     "native_virtual_network": null, "virtual_networks": [], "disbond_operation_supported": true, "href": "/metal/v1/ports/66666666-6666-4666-8666-666666666666"},
    {"id": "77777777-7777-4777-8777-777777777777", "type": "NetworkPort", "name": "eth0", "data": {"mac": "0c:c4:7a:e5:44:c8", "bonded": true},
     "bond": {"id": "66666666-6666-4666-8666-666666666666", "name": "bond0"}, "virtual_networks": [], "href": "/metal/v1/ports/77777777-7777-4777-8777-777777777777"}],
  "provisioning_percentage": 57.142857142857146,
  "provisioning_events": [
    {"id": "88888888-8888-4888-8888-888888888888", "type": "provisioning.101", "body": "Provisioning started", "created_at": "2026-11-21T11:57:13Z",
     "relationships": [{"href": "#%[1]s"}], "interpolated": "Provisioning started", "href": "/metal/v1/events/88888888-8888-4888-8888-888888888888"},
    {"id": null, "type": "provisioning.110", "body": "Device phoned home and is ready to go", "created_at": null, "relationships": [], "interpolated": null, "href": null}],
  "switch_uuid": "b6a1c2d3", "network_frozen": false, "sos": "%[1]s@sos.da11.platformequinix.com", "href": "/metal/v1/devices/%[1]s"
}`, id, hostname, strings.SplitN(id, "-", 2)[0])
}

// numberedID is a UUID that ends in a number.
func numberedID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }
