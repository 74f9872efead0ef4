package bench_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/capi/capitest"
)

var env *capitest.Environment

func TestMain(m *testing.M) {
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	os.Exit(capitest.Run(m, capitest.DefinitionsOnly, func(e *capitest.Environment) (func(), error) {
		env = e
		return func() {}, nil
	}))
}

// The figures are for a fleet of 1,000 machines and for 100 clusters. Where time is short, fewer tell the same of what does
// not depend on the number.
var (
	fleet    = flag.Int("machines", 1000, "number of machines")
	clusters = flag.Int("clusters", 100, "number of clusters, of two machines each")
)

// compression is how much faster than in production time goes in the steady state: every interval is divided by it.
const compression = 10

// production are the intervals that the manager's flags default to.
func production(by time.Duration) capitest.Intervals {
	return capitest.Intervals{
		Poll: time.Second, Resync: time.Minute / by, Endpoint: 10 * time.Second / by, Listing: 900 * time.Millisecond,
		Sync: 10 * time.Minute / by, Concurrency: 50,
	}
}

func newWorld(b *testing.B) *capitest.World {
	b.Helper()
	return capitest.NewWorld(b, env, apiservertest.Options{Profile: lifecycle.Instant})
}

// machines makes the objects of so many workers, with bootstrap data.
func machines(b *testing.B, w *capitest.World, cluster *clusterv1.Cluster, count int) {
	b.Helper()
	const writers = 20
	var wait sync.WaitGroup
	for writer := range writers {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for n := writer; n < count; n += writers {
				w.Machine(cluster, capitest.MachineOptions{Name: fmt.Sprintf("%s-%04d", cluster.Name, n), UserData: capitest.UserData})
			}
		}()
	}
	wait.Wait()
}

// provisioned waits until so many machines of a namespace have an active device.
func provisioned(b *testing.B, w *capitest.World, count int) {
	b.Helper()
	list := &infrav1.PacketMachineList{}
	for deadline := time.Now().Add(20 * time.Minute); time.Now().Before(deadline); <-time.After(500 * time.Millisecond) {
		if err := w.Client.List(b.Context(), list, client.InNamespace(w.Namespace)); err != nil {
			b.Fatal(err)
		}
		ready := 0
		for n := range list.Items {
			if ptr.Deref(list.Items[n].Status.Initialization.Provisioned, false) {
				ready++
			}
		}
		if ready == count {
			return
		}
	}
	b.Fatalf("%d machines are not provisioned after 20 minutes", count)
}

// nodes plays the kubelets: a machine whose device is active has a node. Without one, it is asked every two seconds whether
// its user data has ended.
func nodes(b *testing.B, w *capitest.World) (stop func()) {
	b.Helper()
	ended := make(chan struct{})
	var wait sync.WaitGroup
	wait.Add(1)
	done := map[string]bool{}
	look := func() {
		list := &infrav1.PacketMachineList{}
		if err := w.Client.List(b.Context(), list, client.InNamespace(w.Namespace)); err != nil {
			b.Errorf("listing PacketMachines: %v", err)
			return
		}
		for n := range list.Items {
			name := list.Items[n].Name
			if done[name] || !ptr.Deref(list.Items[n].Status.Initialization.Provisioned, false) {
				continue
			}
			machine := &clusterv1.Machine{}
			if err := w.Client.Get(b.Context(), client.ObjectKey{Namespace: w.Namespace, Name: name}, machine); err != nil {
				b.Errorf("reading Machine %s: %v", name, err)
				continue
			}
			machine.Status.NodeRef = clusterv1.MachineNodeReference{Name: name}
			if err := w.Client.Status().Update(b.Context(), machine); err != nil {
				// It is tried again at the next look.
				continue
			}
			done[name] = true
		}
	}
	go func() {
		defer wait.Done()
		for {
			look()
			select {
			case <-ended:
				look()
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	return func() { close(ended); wait.Wait() }
}

// requests counts what went to the Packet API since the world was made: of one operation, or of all.
func requests(w *capitest.World, method, suffix string) int {
	return len(w.Network.Requests(method, suffix))
}

func all(w *capitest.World) int {
	total := 0
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		total += requests(w, method, "")
	}
	return total
}

// BenchmarkSteadyState prints what 1,000 active machines cost in ten minutes in which nothing happens.
func BenchmarkSteadyState(b *testing.B) {
	for range b.N {
		w := newWorld(b)
		w.Intervals = production(1)
		stop := w.Run()
		cluster, _ := w.ReadyCluster(w.Namespace, "fleet")
		noded := nodes(b, w)
		machines(b, w, cluster, *fleet)
		provisioned(b, w, *fleet)
		noded()
		stop()

		// What is measured begins with a manager that has seen everything once.
		w.Intervals = production(compression)
		w.Run()
		<-time.After(2 * w.Intervals.Resync)
		reads, writes := w.KubernetesCalls()
		calls := all(w)
		<-time.After(10 * time.Minute / compression)
		readsAfter, writesAfter := w.KubernetesCalls()
		b.ReportMetric(float64(all(w)-calls), "packet-calls/10min")
		b.ReportMetric(float64(writesAfter-writes), "kubernetes-writes/10min")
		b.ReportMetric(float64(readsAfter-reads), "kubernetes-reads/10min")
	}
}

// BenchmarkCreation prints what making 1,000 machines costs and how fast it goes, from the moment when the manager starts
// with all objects there.
func BenchmarkCreation(b *testing.B) {
	for range b.N {
		w := newWorld(b)
		w.Intervals = production(1)
		stop := w.Run()
		cluster, _ := w.ReadyCluster(w.Namespace, "fleet")
		stop()
		machines(b, w, cluster, *fleet)
		_, writes := w.KubernetesCalls()
		noded := nodes(b, w)
		began := time.Now()
		w.Run()
		provisioned(b, w, *fleet)
		took := time.Since(began)
		noded()
		_, writesAfter := w.KubernetesCalls()
		b.ReportMetric(float64(requests(w, http.MethodPost, "/devices"))/float64(*fleet), "creates/machine")
		b.ReportMetric(float64(requests(w, http.MethodGet, "/devices")), "listing-pages")
		b.ReportMetric(float64(*fleet)/took.Seconds(), "machines/s")
		b.ReportMetric(float64(writesAfter-writes)/float64(*fleet), "kubernetes-writes/machine")
		if devices := len(w.Devices()); devices != *fleet {
			b.Errorf("%d devices for %d machines", devices, *fleet)
		}
	}
}

// BenchmarkClusters prints how fast 100 clusters of one control plane machine and one worker are made. Endpoints are elastic
// IPs that nobody listens at. Cluster API's core controllers are played by the benchmark, so this is the part of the
// infrastructure provider and not the time that a cluster takes with kubeadm.
func BenchmarkClusters(b *testing.B) {
	for range b.N {
		w := newWorld(b)
		w.Intervals = production(1)
		w.Run()
		noded := nodes(b, w)
		began := time.Now()
		var wait sync.WaitGroup
		limit := make(chan struct{}, 20)
		for n := range *clusters {
			wait.Add(1)
			limit <- struct{}{}
			go func() {
				defer func() { <-limit; wait.Done() }()
				cluster, _ := w.ReadyCluster(w.Namespace, fmt.Sprintf("c%03d", n))
				w.Machine(cluster, capitest.MachineOptions{Name: cluster.Name + "-master", ControlPlane: true, UserData: capitest.UserData})
				w.Machine(cluster, capitest.MachineOptions{Name: cluster.Name + "-worker", UserData: capitest.UserData})
			}()
		}
		wait.Wait()
		provisioned(b, w, 2**clusters)
		took := time.Since(began)
		noded()
		var memory runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&memory)
		b.ReportMetric(float64(*clusters)/took.Minutes(), "clusters/min")
		b.ReportMetric(float64(memory.HeapInuse)/(1<<20), "heap-MB")
		b.ReportMetric(resident(b), "resident-MB")
		b.ReportMetric(float64(all(w))/float64(*clusters), "packet-calls/cluster")
	}
}

// resident is the memory of this process, which holds the controllers and the Packet API server, but not kube-apiserver.
func resident(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kilobytes); n == 1 {
			return kilobytes / 1024
		}
	}
	b.Fatal("/proc/self/status does not tell VmRSS")
	return 0
}
