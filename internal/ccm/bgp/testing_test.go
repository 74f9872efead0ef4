package bgp

import (
	"context"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/ccm/ccmtest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// rig is a BGP over the real API server, with the requests between the two
// counted, and spoilt on demand.
type rig struct {
	t        *testing.T
	server   *apiservertest.Server
	client   *packet.Client
	kube     *fake.Clientset
	clock    *steppedClock
	recorder *record.FakeRecorder
	network  *ccmtest.Network
	bgp      *BGP
}

func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{
		t: t, server: apiservertest.Start(t, apiservertest.Options{}), kube: fake.NewClientset(),
		clock: &steppedClock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}, recorder: record.NewFakeRecorder(100),
	}
	r.client = r.server.Client(t)
	r.network = ccmtest.NewNetwork(t, r.server.URL)
	r.restart(change...)
	return r
}

// restart makes a new BGP, which knows nothing.
func (r *rig) restart(change ...func(*Config)) {
	r.t.Helper()
	client, err := packet.NewClient(packet.Config{BaseURL: r.network.URL, Token: r.server.Token, QPS: -1, Retries: -1, Timeout: time.Second})
	if err != nil {
		r.t.Fatal(err)
	}
	config := Config{
		API: client, ProjectID: r.server.ProjectID,
		Devices: packet.NewDeviceCache(client, r.server.ProjectID, packet.DeviceFilter{}, 10*time.Second, r.clock, packet.Include("ip_addresses.parent_block")),
		Nodes:   r.kube.CoreV1().Nodes(), Recorder: r.recorder, Annotations: DefaultAnnotations(),
		Families: []string{packet.BGPIPv4}, LocalASN: 65000, Clock: r.clock,
	}
	for _, f := range change {
		f(&config)
	}
	r.bgp = New(config)
}

// device makes an active device and its node.
func (r *rig) device(name string) (*packet.Device, *corev1.Node) {
	r.t.Helper()
	device, err := r.client.CreateDevice(r.t.Context(), r.server.ProjectID, packet.DeviceCreate{
		Hostname: name, Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da",
	})
	if err != nil {
		r.t.Fatal(err)
	}
	until(r.t, "device "+name+" is active", func() bool {
		device, err = r.client.Device(r.t.Context(), device.ID)
		if err != nil {
			r.t.Fatal(err)
		}
		return device.State == packet.StateActive
	})
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Annotations: map[string]string{"theirs": "stays"}},
		Spec:       corev1.NodeSpec{ProviderID: packet.ProviderID(device.ID)},
	}
	if _, err := r.kube.CoreV1().Nodes().Create(r.t.Context(), node, metav1.CreateOptions{}); err != nil {
		r.t.Fatal(err)
	}
	return device, node
}

// nodes are as Kubernetes has them now.
func (r *rig) nodes() []*corev1.Node {
	r.t.Helper()
	list, err := r.kube.CoreV1().Nodes().List(r.t.Context(), metav1.ListOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	var nodes []*corev1.Node
	for i := range list.Items {
		nodes = append(nodes, &list.Items[i])
	}
	return nodes
}

// ensure has all nodes looked at.
func (r *rig) ensure() map[string][]Peer {
	r.t.Helper()
	peers, err := r.bgp.EnsureDevices(r.t.Context(), r.nodes())
	if err != nil {
		r.t.Fatal(err)
	}
	return peers
}

// patches counts the changes of nodes.
func (r *rig) patches() int {
	n := 0
	for _, action := range r.kube.Actions() {
		if action.GetVerb() == "patch" {
			n++
		}
	}
	return n
}

func (r *rig) sessions(deviceID string) []packet.BGPSession {
	r.t.Helper()
	sessions, err := r.client.BGPSessions(r.t.Context(), deviceID)
	if err != nil {
		r.t.Fatal(err)
	}
	return sessions
}

// until asks again and again for as long as the API server may take to carry
// out what it has accepted.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		case <-again.C:
		}
	}
}

// steppedClock moves when it is told to, and does not wait.
type steppedClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *steppedClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *steppedClock) Sleep(ctx context.Context, d time.Duration) error {
	c.advance(d)
	return ctx.Err()
}

func (c *steppedClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
