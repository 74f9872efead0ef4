package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/workqueue"
	cloudproviderapi "k8s.io/cloud-provider/api"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/ccm/ccmtest"
	"github.com/packetyard/packetyard/internal/controlplanetest"
	"github.com/packetyard/packetyard/internal/processtest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// cluster is the one kube-apiserver of all tests of this package.
type cluster struct {
	server     *envtest.Environment
	stop       func() error
	kubeconfig []byte
	client     kubernetes.Interface
}

var (
	startOnce sync.Once
	started   *cluster
	startErr  error
)

// kubernetesCluster starts a kube-apiserver the first time. A test that cannot
// have it fails: to skip it would be to say that it passed.
func kubernetesCluster(t testing.TB) *cluster {
	t.Helper()
	startOnce.Do(func() { started, startErr = startKubernetes() })
	if startErr != nil {
		t.Fatalf("starting a kube-apiserver: %v", startErr)
	}
	return started
}

func startKubernetes() (*cluster, error) {
	c := &cluster{server: controlplanetest.New()}
	config, stop, err := controlplanetest.Start(c.server)
	if err != nil {
		return nil, err
	}
	c.stop = stop
	config.QPS, config.Burst = -1, -1
	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		return c, err
	}
	user, err := c.server.AddUser(envtest.User{Name: "ccm", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return c, err
	}
	c.kubeconfig, err = user.KubeConfig()
	return c, err
}

func stopKubernetes() error {
	if started == nil {
		return nil
	}
	return started.stop()
}

// world is a Packet project, a cluster on its devices, and the way between.
type world struct {
	t       testing.TB
	api     *apiservertest.Server
	client  *packet.Client
	kube    kubernetes.Interface
	network *ccmtest.Network
	program string
	dir     string
	devices []*packet.Device
}

func newWorld(t testing.TB) *world {
	t.Helper()
	c := kubernetesCluster(t)
	w := &world{t: t, api: apiservertest.Start(t, apiservertest.Options{}), kube: c.client, program: thisProgram(t), dir: t.TempDir()}
	w.client = w.api.Client(t)
	w.network = ccmtest.NewNetwork(t, w.api.URL)
	w.write("kubeconfig", c.kubeconfig)
	t.Cleanup(w.clean)
	return w
}

func (w *world) write(name string, content []byte) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// clean leaves the kube-apiserver as it was.
func (w *world) clean() {
	ctx := context.WithoutCancel(w.t.Context())
	everything := metav1.ListOptions{}
	now := metav1.DeleteOptions{}
	services, err := w.kube.CoreV1().Services(metav1.NamespaceAll).List(ctx, everything)
	if err != nil {
		w.t.Error(err)
		return
	}
	for i := range services.Items {
		service := &services.Items[i]
		if service.Name == "kubernetes" {
			continue
		}
		if len(service.Finalizers) > 0 {
			patch := []byte(`{"metadata":{"finalizers":null}}`)
			_, err = w.kube.CoreV1().Services(service.Namespace).Patch(ctx, service.Name, "application/merge-patch+json", patch, metav1.PatchOptions{})
		}
		err = errors.Join(err, w.kube.CoreV1().Services(service.Namespace).Delete(ctx, service.Name, now))
	}
	if err = errors.Join(err, w.kube.CoreV1().Nodes().DeleteCollection(ctx, now, everything)); err != nil {
		w.t.Error(err)
	}
}

// start runs the program against the way to the API, with a configuration file
// of the given keys beside the required ones.
func (w *world) start(more map[string]any) *process {
	w.t.Helper()
	file := map[string]any{"apiKey": w.api.Token, "projectID": w.api.ProjectID, "base-url": w.network.URL}
	for key, value := range more {
		file[key] = value
	}
	content, err := json.Marshal(file)
	if err != nil {
		w.t.Fatal(err)
	}
	return startProcess(w.t, w.program, nil, "--cloud-provider=packet", "--cloud-config="+w.write("cloud-sa.json", content),
		"--kubeconfig="+filepath.Join(w.dir, "kubeconfig"), "--leader-elect=false", "--secure-port=0", "--v=2")
}

// join makes active devices and the nodes of machines that have just joined.
func (w *world) join(ctx context.Context, prefix string, count int) {
	w.t.Helper()
	w.register(ctx, w.make(ctx, prefix, count))
}

// make makes active devices.
func (w *world) make(ctx context.Context, prefix string, count int) []*packet.Device {
	w.t.Helper()
	devices := make([]*packet.Device, count)
	workqueue.ParallelizeUntil(ctx, 8, count, func(i int) {
		device, err := w.client.CreateDevice(ctx, w.api.ProjectID, packet.DeviceCreate{
			Hostname: fmt.Sprintf("%s-%d", prefix, i), Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da",
		})
		if err != nil {
			w.t.Error(err)
			return
		}
		devices[i] = device
	})
	processtest.Until(w.t, time.Minute, "all devices are active", func() bool {
		list, err := w.client.Devices(ctx, w.api.ProjectID, packet.DeviceFilter{})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, device := range list {
			if device.State != packet.StateActive {
				return false
			}
		}
		return true
	})
	if w.t.Failed() {
		w.t.FailNow()
	}
	w.devices = append(w.devices, devices...)
	return devices
}

// register has the kubelets of devices join.
func (w *world) register(ctx context.Context, devices []*packet.Device) {
	w.t.Helper()
	workqueue.ParallelizeUntil(ctx, 16, len(devices), func(i int) {
		if err := w.kubelet(ctx, devices[i].Hostname); err != nil {
			w.t.Error(err)
		}
	})
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// kubelet does what a kubelet does first, with an external cloud provider.
func (w *world) kubelet(ctx context.Context, name string) error {
	node, err := w.kube.CoreV1().Nodes().Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Spec: corev1.NodeSpec{Taints: []corev1.Taint{
			{Key: cloudproviderapi.TaintExternalCloudProvider, Value: "true", Effect: corev1.TaintEffectNoSchedule},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("registering node %s: %w", name, err)
	}
	return w.report(ctx, node.Name, corev1.ConditionTrue)
}

// report sets whether a node is ready.
func (w *world) report(ctx context.Context, name string, ready corev1.ConditionStatus) error {
	patch := fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":%q,"reason":"Test","lastHeartbeatTime":%q}]}}`, ready, time.Now().UTC().Format(time.RFC3339))
	if _, err := w.kube.CoreV1().Nodes().Patch(ctx, name, "application/strategic-merge-patch+json", []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
		return fmt.Errorf("reporting node %s: %w", name, err)
	}
	return nil
}

func (w *world) nodes(ctx context.Context) map[string]corev1.Node {
	w.t.Helper()
	list, err := w.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		w.t.Fatal(err)
	}
	nodes := make(map[string]corev1.Node, len(list.Items))
	for _, node := range list.Items {
		nodes[node.Name] = node
	}
	return nodes
}

// initialised tells whether a node has been, with all that belongs to it.
func initialised(node corev1.Node) bool {
	for _, taint := range node.Spec.Taints {
		if taint.Key == cloudproviderapi.TaintExternalCloudProvider {
			return false
		}
	}
	return node.Spec.ProviderID != "" && len(node.Status.Addresses) >= 3 && node.Labels[corev1.LabelTopologyZone] != ""
}

func (w *world) awaitInitialised(ctx context.Context) {
	w.t.Helper()
	processtest.Until(w.t, 5*time.Minute, "all nodes are initialised", func() bool {
		nodes := w.nodes(ctx)
		for _, node := range nodes {
			if !initialised(node) {
				return false
			}
		}
		return len(nodes) == len(w.devices)
	})
}

// service makes a Service of type LoadBalancer.
func (w *world) service(ctx context.Context, name string) {
	w.t.Helper()
	_, err := w.kube.CoreV1().Services("default").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Port: 80}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}

// served tells whether so many Services have an address, and no two the same.
func (w *world) served(ctx context.Context, count int) bool {
	w.t.Helper()
	list, err := w.kube.CoreV1().Services("default").List(ctx, metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	addresses := map[string]bool{}
	for _, service := range list.Items {
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			addresses[ingress.IP] = true
		}
	}
	return len(addresses) == count
}

// calls are the requests that the API server has answered, by operation.
func (w *world) calls() map[string]int {
	w.t.Helper()
	answer, err := http.Get(strings.TrimSuffix(w.api.URL, "/metal/v1") + "/_packetyard/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	calls := map[string]int{}
	for line := range strings.Lines(string(body)) {
		rest, found := strings.CutPrefix(line, "packet_api_server_requests_total{")
		if !found {
			continue
		}
		labels, value, _ := strings.Cut(rest, "} ")
		_, operation, _ := strings.Cut(labels, `operation="`)
		operation, _, _ = strings.Cut(operation, `"`)
		number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			w.t.Fatal(err)
		}
		calls[operation] += int(number)
	}
	return calls
}
