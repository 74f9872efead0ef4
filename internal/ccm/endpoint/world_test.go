package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/controlplanetest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// kube is the API server that all tests of the package share.
var kube *rest.Config

func TestMain(m *testing.M) {
	os.Exit(controlplanetest.Run(m, controlplanetest.New(), func(suite *controlplanetest.Suite) error {
		kube = suite.Config
		return nil
	}))
}

const tag = "cluster-api-provider-packet:cluster-id:test"

// world is a cluster of three control plane nodes: each has a device of a real
// Packet API server, and an address of its own at which the real API server
// answers for as long as the test lets it.
type world struct {
	t           *testing.T
	packet      *packet.Client
	project     string
	kube        kubernetes.Interface
	reservation *packet.IPReservation
	names       []string
	devices     map[string]string
	doors       map[string]*door
	port        int32
	clock       *clock
	api         *faulty
	config      Config
	events      *record.FakeRecorder
	controller  *Controller
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server := apiservertest.Start(t, apiservertest.Options{})
	w := &world{
		t: t, packet: server.Client(t), project: server.ProjectID, kube: kubernetes.NewForConfigOrDie(kube),
		devices: map[string]string{}, doors: map[string]*door{}, clock: &clock{now: time.Date(2026, 6, 30, 0, 0, 0, 0, time.UTC)},
		events: record.NewFakeRecorder(1000),
	}
	var err error
	w.reservation, err = w.packet.CreateIPReservation(t.Context(), w.project, packet.IPReservationCreate{
		Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "da", Tags: []string{tag},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The environment is shared; the next test starts with an empty one.
		ctx := context.WithoutCancel(t.Context())
		_ = w.kube.CoreV1().Nodes().DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		_ = w.kube.CoreV1().Services(serviceNamespace).Delete(ctx, ServiceName, metav1.DeleteOptions{})
		_ = w.kube.DiscoveryV1().EndpointSlices(serviceNamespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	})
	for i := range 3 {
		w.addNode(i)
	}
	w.api = &faulty{Client: w.packet}
	w.config = Config{
		API: w.api, ProjectID: w.project, Tag: tag, Port: w.port, Kubernetes: w.kube, REST: kube,
		Recorder: w.events, Clock: w.clock, Dial: w.dial,
	}
	w.start(w.config)
	return w
}

func (w *world) addNode(i int) {
	w.t.Helper()
	name, address := fmt.Sprintf("cp-%d", i), fmt.Sprintf("127.0.10.%d", i+1)
	device, err := w.packet.CreateDevice(w.t.Context(), w.project, packet.DeviceCreate{
		Hostname: name, Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da",
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.names = append(w.names, name)
	w.devices[name] = device.ID
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", address, w.port))
	if err != nil {
		w.t.Fatal(err)
	}
	w.port = int32(listener.Addr().(*net.TCPAddr).Port)
	w.doors[name] = newDoor(w.t, listener)
	w.until("the device is active", func() bool {
		device, err := w.packet.Device(w.t.Context(), device.ID)
		return err == nil && device.State == packet.StateActive
	})

	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{labelControlPlane: ""}},
		Spec:       corev1.NodeSpec{ProviderID: packet.ProviderID(device.ID)},
	}
	created, err := w.kube.CoreV1().Nodes().Create(w.t.Context(), node, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	created.Status = corev1.NodeStatus{
		Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}, {Type: corev1.NodeExternalIP, Address: w.reservation.Address}},
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
	}
	if _, err := w.kube.CoreV1().Nodes().UpdateStatus(w.t.Context(), created, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// start makes a controller, as a process that becomes the leader does.
func (w *world) start(config Config) {
	w.t.Helper()
	factory := informers.NewSharedInformerFactory(w.kube, 0)
	config.Nodes, config.Services, config.Slices = factory.Core().V1().Nodes(), factory.Core().V1().Services(), factory.Discovery().V1().EndpointSlices()
	controller, err := New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	factory.Start(w.t.Context().Done())
	factory.WaitForCacheSync(w.t.Context().Done())
	w.controller = controller
	w.until("the controller knows the nodes", func() bool {
		ready := 0
		for _, name := range w.names {
			if node, err := controller.nodes.Get(name); err == nil && len(node.Status.Addresses) == 2 {
				ready++
			}
		}
		return ready == len(w.names)
	})
}

// changeNode changes a node and waits until the controller knows.
func (w *world) changeNode(name string, change func(*corev1.Node)) {
	w.t.Helper()
	node, err := w.kube.CoreV1().Nodes().Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	change(node)
	changed, err := w.kube.CoreV1().Nodes().Update(w.t.Context(), node, metav1.UpdateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.until("the controller knows of the change", func() bool {
		node, err := w.controller.nodes.Get(name)
		return err == nil && node.ResourceVersion == changed.ResourceVersion
	})
}

// holder is the name of the node that has the address, empty for none.
func (w *world) holder() string {
	w.t.Helper()
	reservation, err := w.packet.IPReservation(w.t.Context(), w.reservation.ID, packet.Include("assignments"))
	if err != nil {
		w.t.Fatal(err)
	}
	for name, device := range w.devices {
		if slices.ContainsFunc(reservation.Assignments, func(a packet.IPAssignment) bool { return a.AssignedTo.ID() == device }) {
			return name
		}
	}
	return ""
}

// dial reaches the elastic IP at the node that has it, as the network does.
func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if host == w.reservation.Address {
		name := w.holder()
		if name == "" {
			return nil, errors.New("no route to host")
		}
		address = net.JoinHostPort(w.doors[name].host, port)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

func (w *world) sync() error {
	w.t.Helper()
	return w.controller.Sync(w.t.Context())
}

func (w *world) mustSync() {
	w.t.Helper()
	if err := w.sync(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) expectHolder(name string) {
	w.t.Helper()
	if got := w.holder(); got != name {
		w.t.Fatalf("the address is at %q, want %q", got, name)
	}
}

func (w *world) until(what string, so func() bool) {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !so() {
		select {
		case <-deadline:
			w.t.Fatalf("waited in vain until %s", what)
		case <-again.C:
		}
	}
}

// door is where a node's API server answers: it leads to the one of the
// environment while it is open.
type door struct {
	host string

	mu     sync.Mutex
	closed bool
	// impostor, where it is set, answers instead.
	impostor func(net.Conn)
}

func newDoor(t *testing.T, listener net.Listener) *door {
	d := &door{host: listener.Addr().(*net.TCPAddr).IP.String()}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go d.serve(connection)
		}
	}()
	return d
}

func (d *door) set(closed bool, impostor func(net.Conn)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed, d.impostor = closed, impostor
}

func (d *door) serve(connection net.Conn) {
	defer connection.Close()
	d.mu.Lock()
	closed, impostor := d.closed, d.impostor
	d.mu.Unlock()
	if closed {
		return
	}
	if impostor != nil {
		impostor(connection)
		return
	}
	server, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(kube.Host, "https:"), "/"))
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(server, connection) }()
	_, _ = io.Copy(connection, server)
}

// clock is a time that tests turn.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time                             { return c.now }
func (c *clock) Sleep(context.Context, time.Duration) error { return nil }

// faulty is the Packet API with calls that fail when the test says so.
type faulty struct {
	*packet.Client

	failReads   bool
	failAssigns int
	lists       int
}

var errInjected = errors.New("injected fault")

func (f *faulty) IPReservations(ctx context.Context, projectID string, options ...packet.QueryOption) ([]packet.IPReservation, error) {
	f.lists++
	if f.failReads {
		return nil, errInjected
	}
	return f.Client.IPReservations(ctx, projectID, options...)
}

func (f *faulty) AssignIP(ctx context.Context, deviceID, address string, options ...packet.QueryOption) (*packet.IPAssignment, error) {
	if f.failAssigns > 0 {
		f.failAssigns--
		return nil, errInjected
	}
	return f.Client.AssignIP(ctx, deviceID, address, options...)
}
