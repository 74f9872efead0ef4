package clusters_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/packetyard/packetyard/example"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/internal/capi/manager"
	"github.com/packetyard/packetyard/pkg/packet"
)

// patience is how long the benchmark waits for its clusters.
const patience = 20 * time.Minute

// BenchmarkClusters prints how many clusters are made in a minute, from the moment when the first object is written until
// the last machine is Running, and what memory this process takes then: it holds the manager, the Packet API server and the
// endpoints, but not kube-apiserver.
func BenchmarkClusters(b *testing.B) {
	for range b.N {
		api := apiservertest.Start(b, apiservertest.Options{Profile: lifecycle.Instant})
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: manager.DefaultNamespace, Name: "packet-api-credentials"},
			StringData: map[string]string{
				credentials.KeyAPIURL: api.URL, credentials.KeyAPIToken: api.Token, credentials.KeyProjectID: api.ProjectID,
			},
		}
		if err := env.Client.Create(b.Context(), secret); err != nil {
			b.Fatal(err)
		}
		namespace := env.Namespace(b)
		endpoints := map[string]*endpoint{}
		for n := range *clusters {
			name := fmt.Sprintf("c%04d", n)
			endpoints[name] = openEndpoint(b, client.ObjectKey{Namespace: namespace, Name: name})
		}
		joining(b, api, endpoints)
		_, writes := kubernetes.Count()
		began, busy := time.Now(), env.ProcessorTime(b)
		apply(b, namespace, endpoints)
		running(b, namespace, 2**clusters)
		took := time.Since(began)
		busy = env.ProcessorTime(b) - busy
		_, writesAfter := kubernetes.Count()
		b.ReportMetric(float64(*clusters)/took.Minutes(), "clusters/min")
		b.ReportMetric(busy.Seconds()/float64(*clusters), "cpu-s/cluster")
		b.ReportMetric(float64(writesAfter-writes)/float64(*clusters), "kubernetes-writes/cluster")
		b.ReportMetric(packetCalls(b)/float64(*clusters), "packet-calls/cluster")
		var memory runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&memory)
		b.ReportMetric(float64(memory.HeapInuse)/(1<<20), "heap-MB")
		b.ReportMetric(resident(b), "resident-MB")
		if devices, err := api.Client(b).Devices(b.Context(), api.ProjectID, packet.DeviceFilter{}); err != nil || len(devices) != 2**clusters {
			b.Errorf("%d devices for %d clusters, %v", len(devices), *clusters, err)
		}
	}
}

// apply writes the objects of all clusters, as fast as kube-apiserver takes them.
func apply(b *testing.B, namespace string, endpoints map[string]*endpoint) {
	b.Helper()
	const writers = 10
	queue := make(chan *endpoint)
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for e := range queue {
				for _, object := range objects(b, e) {
					object.SetNamespace(namespace)
					if err := env.Client.Create(b.Context(), object); err != nil {
						b.Errorf("making %s %s: %v", object.GetKind(), object.GetName(), err)
					}
				}
			}
		})
	}
	for _, e := range endpoints {
		queue <- e
	}
	close(queue)
	wait.Wait()
}

// objects are those of example/cluster.yaml, without what installs the cloud controller manager, with one worker, and with
// the endpoint.
func objects(b *testing.B, e *endpoint) []*unstructured.Unstructured {
	b.Helper()
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(bytes.ReplaceAll(example.Cluster, []byte("demo"), []byte(e.cluster.Name))), 4096)
	var all []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err == nil {
			switch object.GetKind() {
			case "", "ClusterResourceSet", "ConfigMap":
				continue
			case "MachineDeployment":
				err = unstructured.SetNestedField(object.Object, int64(1), "spec", "replicas")
			case "PacketCluster":
				err = errors.Join(
					unstructured.SetNestedField(object.Object, "External", "spec", "vipManager"),
					unstructured.SetNestedField(object.Object, "127.0.0.1", "spec", "controlPlaneEndpoint", "host"),
					unstructured.SetNestedField(object.Object, int64(e.port), "spec", "controlPlaneEndpoint", "port"))
			}
		}
		if err != nil {
			b.Fatalf("reading example/cluster.yaml: %v", err)
		}
		all = append(all, object)
	}
}

// running waits until so many machines of a namespace are Running.
func running(b *testing.B, namespace string, count int) {
	b.Helper()
	var state string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(time.Second) {
		machines := &clusterv1.MachineList{}
		if err := env.Client.List(b.Context(), machines, client.InNamespace(namespace)); err != nil {
			// A machine that has much to do does not answer in time.
			state = err.Error()
			continue
		}
		phases := map[string]int{}
		for n := range machines.Items {
			phases[machines.Items[n].Status.Phase]++
		}
		if phases[string(clusterv1.MachinePhaseRunning)] == count {
			return
		}
		state = fmt.Sprint(phases)
	}
	b.Fatalf("after %s, %d machines should be Running, and the phases are %s", patience, count, state)
}

// packetCalls is how many requests the manager sent to the Packet API, as its metrics tell.
func packetCalls(b *testing.B) float64 {
	b.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	total := 0.0
	for _, family := range families {
		if family.GetName() != "packet_api_requests_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			total += metric.GetCounter().GetValue()
		}
	}
	return total
}

// resident is the memory of this process.
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

// silent is for servers whose clients are too early.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }
