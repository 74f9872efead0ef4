package bgp

import (
	"context"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"

	"github.com/packetyard/packetyard/pkg/packet"
)

// startController runs a controller over the rig until the test ends.
func startController(r *rig, mode Mode, selector string) {
	r.t.Helper()
	parsed, err := labels.Parse(selector)
	if err != nil {
		r.t.Fatal(err)
	}
	factory := informers.NewSharedInformerFactory(r.kube, 0)
	controller, err := NewController(ControllerConfig{
		BGP: r.bgp, Mode: mode, Selector: parsed, Nodes: factory.Core().V1().Nodes(), Services: factory.Core().V1().Services(),
		Wants: func(s *corev1.Service) bool { return s.Spec.Type == corev1.ServiceTypeLoadBalancer },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	factory.Start(ctx.Done())
	var running sync.WaitGroup
	running.Go(func() { controller.Run(ctx) })
	r.t.Cleanup(func() {
		cancel()
		running.Wait()
		factory.Shutdown()
	})
}

func (r *rig) annotated(name string) bool {
	for _, node := range r.nodes() {
		if node.Name == name {
			peers, err := r.bgp.Peers(node)
			return err == nil && len(peers) > 0
		}
	}
	return false
}

// Issues 100, 101 and 259 of upstream's: BGP came with the first service, on
// nodes that were to have none, and stayed.
func TestBGPComesAndGoesWithServices(t *testing.T) {
	r := newRig(t)
	in, _ := r.device("in")
	out, _ := r.device("out")
	label := func(name, value string) {
		t.Helper()
		for _, node := range r.nodes() {
			if node.Name == name {
				node.Labels = map[string]string{"bgp": value}
				if _, err := r.kube.CoreV1().Nodes().Update(t.Context(), node, metav1.UpdateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	label("in", "yes")
	r.network.Take()
	startController(r, ModeServices, "bgp=yes")
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP},
	}
	services := r.kube.CoreV1().Services("default")
	if _, err := services.Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if requests := r.network.Take(); len(requests) != 0 {
		t.Errorf("without a service: requests %v", requests)
	}
	service.Spec.Type = corev1.ServiceTypeLoadBalancer
	if _, err := services.Update(t.Context(), service, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "the selected node has BGP", func() bool { return r.annotated("in") })
	if r.annotated("out") || len(r.sessions(out.ID)) != 0 || len(r.sessions(in.ID)) != 1 {
		t.Error("a node that is not selected has BGP")
	}
	label("out", "yes")
	until(t, "the node that was selected later has BGP", func() bool { return r.annotated("out") })
	label("in", "no")
	until(t, "the node that is not selected any longer has lost its annotations", func() bool { return !r.annotated("in") })
	if err := services.Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "without a service no node has BGP", func() bool { return !r.annotated("out") })
}

func TestBGPOfNodesNeedsNoService(t *testing.T) {
	r := newRig(t)
	r.device("node-1")
	startController(r, ModeNodes, "")
	until(t, "the node has BGP", func() bool { return r.annotated("node-1") })
	r.device("node-2")
	until(t, "the node that joined later has BGP", func() bool { return r.annotated("node-2") })
}

// Switching BGP off takes away what was written, and asks for nothing.
func TestBGPOffRemovesAnnotations(t *testing.T) {
	r := newRig(t)
	r.device("node-1")
	r.ensure()
	if !r.annotated("node-1") {
		t.Fatal("there are no annotations")
	}
	r.network.Take()
	startController(r, ModeOff, "")
	until(t, "the annotations are gone", func() bool { return !r.annotated("node-1") })
	if requests := r.network.Take(); len(requests) != 0 {
		t.Errorf("requests: %v", requests)
	}
}

// A session that the API refuses for good is told about on the node.
func TestARefusedSessionIsReported(t *testing.T) {
	r := newRig(t)
	device, _ := r.device("node-1")
	if _, err := r.bgp.EnsureProject(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.client.DeleteDevice(t.Context(), device.ID, true); err != nil {
		t.Fatal(err)
	}
	until(t, "the device is gone", func() bool {
		_, err := r.client.Device(t.Context(), device.ID)
		return packet.IsNotFound(err)
	})
	device.State = packet.StateActive
	r.bgp.sessions = newSessions(nil)
	err := r.bgp.createSession(t.Context(), target{node: r.nodes()[0], device: device}, packet.BGPIPv4)
	if err == nil {
		t.Fatal("there is no error")
	}
	if event := <-r.recorder.Events; !strings.HasPrefix(event, "Warning "+ReasonSessionRefused) {
		t.Errorf("the event is %q", event)
	}
}
