package ccm

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cloudprovider "k8s.io/cloud-provider"
	cloudproviderapi "k8s.io/cloud-provider/api"

	"github.com/packetyard/packetyard/internal/ccm/bgp"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	testToken   = "kT7yQ2secret9Zp"
	testProject = "8c5a5a2e-6f1b-4d3c-9b6e-0d2f3a4b5c6d"
)

// api is as much of the Packet API as the provider asks for: a project, its
// devices in pages as the real one cut them, and the ways in which it fails.
type api struct {
	*httptest.Server
	mu      sync.Mutex
	devices []packet.Device
	// outage, if set, answers instead of everything.
	outage http.HandlerFunc
	// requests counts by operation.
	requests map[string]int
}

func newAPI(t testing.TB, devices ...packet.Device) *api {
	t.Helper()
	a := &api{devices: devices, requests: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metal/v1/projects/"+testProject, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, packet.Project{ID: testProject, Name: "test"})
	})
	mux.HandleFunc("GET /metal/v1/locations/metros", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, packet.MetroList{Metros: []packet.Metro{{ID: "1", Code: "da"}, {ID: "2", Code: "am"}}})
	})
	mux.HandleFunc("GET /metal/v1/facilities", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, packet.FacilityList{Facilities: []packet.Facility{{ID: "1", Code: "da11"}}})
	})
	mux.HandleFunc("GET /metal/v1/projects/"+testProject+"/devices", a.list)
	mux.HandleFunc("GET /metal/v1/devices/{id}", a.get)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, "Not found") })
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.requests[strings.NewReplacer("/metal/v1", "", testProject, "{project}").Replace(r.Method+" "+r.URL.Path)]++
		switch {
		case a.outage != nil:
			a.outage(w, r)
		case r.Header.Get("X-Auth-Token") != testToken:
			refuse(w, http.StatusUnauthorized, "Invalid authentication token")
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *api) list(w http.ResponseWriter, r *http.Request) {
	number := func(key string, otherwise, most int) int {
		n, err := strconv.Atoi(r.URL.Query().Get(key))
		if err != nil || n < 1 {
			n = otherwise
		}
		return min(n, most)
	}
	page, perPage := number("page", 1, 100000), number("per_page", 10, 1000)
	list := packet.DeviceList{Devices: []packet.Device{}, Meta: &packet.Meta{
		Total: len(a.devices), CurrentPage: page, LastPage: max((len(a.devices)+perPage-1)/perPage, 1),
	}}
	list.Devices = append(list.Devices, a.devices[min((page-1)*perPage, len(a.devices)):min(page*perPage, len(a.devices))]...)
	answer(w, http.StatusOK, list)
}

func (a *api) get(w http.ResponseWriter, r *http.Request) {
	i := slices.IndexFunc(a.devices, func(d packet.Device) bool { return d.ID == r.PathValue("id") })
	if i < 0 {
		refuse(w, http.StatusNotFound, "Not found")
		return
	}
	answer(w, http.StatusOK, a.devices[i])
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, packet.ErrorBody{Errors: []string{message}})
}

// change changes the devices.
func (a *api) change(f func(devices []packet.Device) []packet.Device) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.devices = f(a.devices)
}

// fail makes everything fail, nil ends it.
func (a *api) fail(outage http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.outage = outage
}

// asked is how often an operation was, for example "GET /projects/{project}/devices".
func (a *api) asked(operation string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests[operation]
}

func (a *api) askedInAll() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, times := range a.requests {
		n += times
	}
	return n
}

const (
	listDevices = "GET /projects/{project}/devices"
	getDevice   = "GET /devices/"
)

// steppedClock moves when it is told to, and does not wait.
type steppedClock struct {
	packet.SystemClock
	mu  sync.Mutex
	now time.Time
}

func (c *steppedClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *steppedClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// newTestCloud makes the provider of an API, with a client that fails at once
// instead of trying again.
func newTestCloud(t testing.TB, a *api, change ...func(*packet.Config)) (cloudprovider.InstancesV2, *steppedClock) {
	t.Helper()
	config := packet.Config{
		BaseURL: a.URL + "/metal/v1", Token: testToken, Retries: -1, QPS: -1,
		HTTPClient: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}, Registerer: prometheus.NewPedanticRegistry(),
	}
	for _, f := range change {
		f(&config)
	}
	client, err := packet.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(config.HTTPClient.CloseIdleConnections)
	clock := &steppedClock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	instances, supported := newCloudForClient(client, testConfig(testProject), clock).InstancesV2()
	if !supported {
		t.Fatal("InstancesV2 is not supported")
	}
	return instances, clock
}

// testConfig is a configuration without anything but a project.
func testConfig(projectID string, change ...func(*config)) config {
	c := defaultConfig()
	c.credentials.ProjectID = projectID
	c.bgpMode = bgp.ModeOff
	for _, f := range change {
		f(&c)
	}
	return c
}

// deviceNumber is a device as the API server makes it: node-N with a public,
// a private and an IPv6 address of its own.
func deviceNumber(n int) packet.Device {
	metro := &packet.Metro{ID: "d3d6b29f-042d-43b7-b3ce-0bf53d5754ca", Code: "da", Name: "Dallas"}
	return packet.Device{
		ID:       fmt.Sprintf("00000000-0000-4000-8000-%012d", n),
		Hostname: fmt.Sprintf("node-%d", n),
		State:    packet.StateActive,
		Plan:     &packet.Plan{Slug: "c3.small.x86", Name: "c3.small.x86"},
		Metro:    metro,
		Facility: &packet.Facility{Code: "da11", Metro: metro},
		Tags:     []string{},
		IPAddresses: []packet.IPAssignment{
			{ID: "a", Address: fmt.Sprintf("198.18.%d.%d", 1+n/100, 2*(n%100)+1), AddressFamily: 4, CIDR: 31, Public: true, Management: true},
			{ID: "b", Address: fmt.Sprintf("2001:db8::%x", 2*n+1), AddressFamily: 6, CIDR: 127, Public: true, Management: true},
			{ID: "c", Address: fmt.Sprintf("10.0.%d.%d", n/100, 2*(n%100)+1), AddressFamily: 4, CIDR: 31, Management: true},
		},
	}
}

func deviceNumbers(n int) []packet.Device {
	devices := make([]packet.Device, 0, n)
	for i := range n {
		devices = append(devices, deviceNumber(i))
	}
	return devices
}

// node is a Kubernetes node, initialised unless a taint says otherwise.
func node(name, providerID string, change ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{ProviderID: providerID}}
	for _, f := range change {
		f(n)
	}
	return n
}

func uninitialised(n *corev1.Node) {
	n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: cloudproviderapi.TaintExternalCloudProvider, Value: "true", Effect: corev1.TaintEffectNoSchedule})
}

func createdAt(moment time.Time) func(*corev1.Node) {
	return func(n *corev1.Node) { n.CreationTimestamp = metav1.NewTime(moment) }
}

func withNodeIP(ip string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Annotations = map[string]string{cloudproviderapi.AnnotationAlphaProvidedIPAddr: ip}
	}
}

func withReportedAddress(address string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: address})
	}
}

// addressTexts writes addresses as Type=Address.
func addressTexts(addresses []corev1.NodeAddress) []string {
	texts := make([]string, 0, len(addresses))
	for _, address := range addresses {
		texts = append(texts, cmp.Or(string(address.Type), "?")+"="+address.Address)
	}
	return texts
}

// text shows a value.
func text(value any) string { return fmt.Sprintf("%+v", value) }
