package loadbalancers

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/packetyard/packetyard/pkg/packet"
)

// A new process finds everything as it is: its cost is one listing, whatever
// the number of Services and nodes. The original asked about 100,000 times.
func TestARestartCostsOneListing(t *testing.T) {
	w := newMetalLBWorld(t, FormatResources, 20)
	calls, writes := w.restartCost(10, func() {})
	if calls > 2 || writes > 0 {
		t.Errorf("a restart asked %d times and wrote %d times", calls, writes)
	}
}

// restartCost restarts with a number of Services and tells how often the Packet
// API was asked until all of them, all nodes and all reservations were looked
// at, and how often something was written to Kubernetes beyond the service
// controller's own events.
func (w *world) restartCost(services int, begin func()) (calls, writes int) {
	w.t.Helper()
	var names []string
	for i := range services {
		names = append(names, fmt.Sprintf("web-%d", i))
		w.service(names[i], withPort(int32(1000+i)))
	}
	for _, name := range names {
		w.address(name)
	}
	var mu sync.Mutex
	w.wrap = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodGet {
				mu.Lock()
				writes++
				mu.Unlock()
			}
			return next.RoundTrip(r)
		})
	}
	w.network.reset()
	begin()
	w.restart()
	// All of what the service controller calls after a restart: each Service, and
	// each again with its nodes, twice over; and what runs beside it.
	for range 2 {
		for _, name := range names {
			service := w.live(name)
			if _, err := w.EnsureLoadBalancer(w.t.Context(), "", service, nil); err != nil {
				w.t.Fatal(err)
			}
			if err := w.UpdateLoadBalancer(w.t.Context(), "", service, nil); err != nil {
				w.t.Fatal(err)
			}
			if _, exists, err := w.GetLoadBalancer(w.t.Context(), "", service); err != nil || !exists {
				w.t.Fatal(exists, err)
			}
		}
	}
	if err := w.sweep(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	return w.network.count(""), writes
}

// BenchmarkRestart is what a restart of the controller costs with 50 Services
// and 1,000 nodes, until everything was looked at.
func BenchmarkRestart(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w := newMetalLBWorld(b, FormatResources, 1000)
		for i := range 1000 {
			if _, err := w.packet.CreateDevice(b.Context(), w.api.ProjectID, packet.DeviceCreate{
				Hostname: w.nodeName(i), Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da",
			}); err != nil {
				b.Fatal(err)
			}
		}
		calls, writes := w.restartCost(50, b.StartTimer)
		b.ReportMetric(float64(calls), "api-calls")
		b.ReportMetric(float64(writes), "kubernetes-writes")
		b.StopTimer()
		for i := range 1000 {
			w.removeNode(i)
		}
		b.StartTimer()
	}
}

// Many new Services cost one listing, and one request each.
func TestNewServicesCostOneListing(t *testing.T) {
	w := newWorld(t)
	const services = 10
	for i := range services {
		w.service(fmt.Sprint("web-", i), withPort(int32(80+i)))
	}
	for i := range services {
		w.address(fmt.Sprint("web-", i))
	}
	if lists, all := w.network.count(listIPs), w.network.count(""); lists != 1 || all != 1+services {
		t.Errorf("%d Services cost %d listings and %d requests in all", services, lists, all)
	}
	for i := range services {
		w.remove(fmt.Sprint("web-", i))
	}
	if lists, all := w.network.count(listIPs), w.network.count(""); lists != 1 || all != 1+2*services {
		t.Errorf("with their removal they cost %d listings and %d requests in all", lists, all)
	}
}

// A node that comes costs nothing at the Packet API, and its own peers at
// Kubernetes'.
func TestANewNodeCostsItsPeers(t *testing.T) {
	w := newMetalLBWorld(t, FormatResources, 5)
	w.service("web")
	w.address("web")
	writes := 0
	w.wrap = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodGet {
				writes++
			}
			return next.RoundTrip(r)
		})
	}
	w.restart()
	w.address("web")
	w.network.reset()
	w.node(5)
	w.changeNode(5, func(*corev1.Node) {})
	for range 3 {
		if err := w.UpdateLoadBalancer(t.Context(), "", w.live("web"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if calls := w.network.count(""); calls != 0 || writes != 2 {
		t.Errorf("a node cost %d calls and %d writes", calls, writes)
	}
}
