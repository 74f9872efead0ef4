package endpoint

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/packetyard/packetyard/pkg/packet"
)

func TestAddressThatNobodyHasIsGiven(t *testing.T) {
	w := newWorld(t)
	w.mustSync()
	w.expectHolder("cp-0")
	if event := <-w.events.Events; !strings.Contains(event, reasonReceived) {
		t.Errorf("the event is %q", event)
	}
}

func TestAddressMovesWhenItsAPIServerFails(t *testing.T) {
	w := newWorld(t)
	w.mustSync()
	w.doors["cp-0"].set(true, nil)
	w.mustSync()
	w.expectHolder("cp-0") // One failure may be a lost packet.
	w.mustSync()
	w.expectHolder("cp-1")
	// It stays, also when the former holder is well again.
	w.doors["cp-0"].set(false, nil)
	for range 3 {
		w.clock.now = w.clock.now.Add(10 * time.Minute)
		w.mustSync()
	}
	w.expectHolder("cp-1")
}

// TestFailuresApartMoveNothing has failures with successes between them.
func TestFailuresApartMoveNothing(t *testing.T) {
	w := newWorld(t)
	w.mustSync()
	for range 4 {
		w.doors["cp-0"].set(true, nil)
		w.mustSync()
		w.doors["cp-0"].set(false, nil)
		w.mustSync()
	}
	w.expectHolder("cp-0")
}

func TestAddressLeavesCordonedNodeAtOnce(t *testing.T) {
	w := newWorld(t)
	w.mustSync()
	w.changeNode("cp-0", func(node *corev1.Node) { node.Spec.Unschedulable = true })
	w.mustSync()
	w.expectHolder("cp-1")

	// With all cordoned there is no better place.
	w.changeNode("cp-1", func(node *corev1.Node) { node.Spec.Unschedulable = true })
	w.changeNode("cp-2", func(node *corev1.Node) { node.Spec.Unschedulable = true })
	if err := w.sync(); err == nil {
		t.Error("nothing is said of an address that has nowhere to go")
	}
	w.expectHolder("cp-1")
}

// TestReassignmentLeftTheAddressUnassigned is about a move whose second call
// fails: the original took the address from one node and stopped.
func TestReassignmentLeftTheAddressUnassigned(t *testing.T) {
	t.Run("another candidate takes it", func(t *testing.T) {
		w := newWorld(t)
		w.mustSync()
		w.doors["cp-0"].set(true, nil)
		w.mustSync()
		w.api.failAssigns = 1
		w.mustSync()
		w.expectHolder("cp-2")
	})
	t.Run("it goes back", func(t *testing.T) {
		w := newWorld(t)
		w.mustSync()
		w.doors["cp-0"].set(true, nil)
		w.mustSync()
		w.api.failAssigns = 2
		if err := w.sync(); !errors.Is(err, errInjected) {
			t.Errorf("the error is %v", err)
		}
		w.expectHolder("cp-0")
	})
	t.Run("the next leader gives it", func(t *testing.T) {
		w := newWorld(t)
		w.mustSync()
		w.doors["cp-0"].set(true, nil)
		w.mustSync()
		w.api.failAssigns = 3
		if err := w.sync(); !errors.Is(err, errInjected) {
			t.Errorf("the error is %v", err)
		}
		w.expectHolder("")
		w.start(w.config)
		w.mustSync()
		w.expectHolder("cp-1")
	})
}

func TestAddressStaysWhereNoOtherAPIServerIsReady(t *testing.T) {
	w := newWorld(t)
	w.mustSync()
	for _, door := range w.doors {
		door.set(true, nil)
	}
	w.mustSync()
	if err := w.sync(); err == nil || !strings.Contains(err.Error(), "no other node") {
		t.Errorf("the error is %v", err)
	}
	w.expectHolder("cp-0")
}

// TestHealthCheckSkippedVerification has something answer at a node that is
// no API server of the cluster: the original took any answer.
func TestHealthCheckSkippedVerification(t *testing.T) {
	w := newWorld(t)
	impostor := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(impostor.Close)
	certificate := impostor.TLS.Certificates[0]
	pretend := func(connection net.Conn) {
		server := tls.Server(connection, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
		_ = server.Handshake()
	}
	w.doors["cp-0"].set(false, pretend)
	w.doors["cp-1"].set(false, pretend)
	w.mustSync()
	w.expectHolder("cp-2")
}

// TestNodeAddressesMayBeProbed is for networks in which the elastic IP does
// not lead back inside: nothing here dials it.
func TestNodeAddressesMayBeProbed(t *testing.T) {
	w := newWorld(t)
	config := w.config
	config.ProbeNodes, config.Dial = true, nil
	w.start(config)
	w.mustSync()
	w.mustSync()
	w.expectHolder("cp-0")
	w.doors["cp-0"].set(true, nil)
	w.mustSync()
	w.mustSync()
	w.expectHolder("cp-1")
}

func TestAddressComesBackFromStrangeDevice(t *testing.T) {
	w := newWorld(t)
	stranger, err := w.packet.CreateDevice(t.Context(), w.project, packet.DeviceCreate{Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.packet.AssignIP(t.Context(), stranger.ID, w.reservation.Address); err != nil {
		t.Fatal(err)
	}
	w.mustSync()
	w.expectHolder("cp-0")
}

// TestOutageMovesNothing has the Packet API fail: what is not known is no
// reason to move anything.
func TestOutageMovesNothing(t *testing.T) {
	w := newWorld(t)
	w.mustSync()
	w.api.failReads = true
	w.clock.now = w.clock.now.Add(time.Hour)
	for range 3 {
		if err := w.sync(); !errors.Is(err, errInjected) {
			t.Errorf("the error is %v", err)
		}
	}
	w.api.failReads = false
	w.mustSync()
	w.expectHolder("cp-0")
}

func TestOneListingInFiveMinutes(t *testing.T) {
	w := newWorld(t)
	w.mustSync()
	w.mustSync()
	w.api.lists = 0
	for range 5 * 60 / 5 {
		w.clock.now = w.clock.now.Add(probeInterval)
		w.mustSync()
	}
	if w.api.lists > 1 {
		t.Errorf("%d listings in five minutes in which nothing happens, want at most 1", w.api.lists)
	}
}

func TestReservationsThatCannotBeUsed(t *testing.T) {
	w := newWorld(t)
	config := w.config
	config.Tag = "nobody-has-it"
	w.start(config)
	if err := w.sync(); err == nil || !strings.Contains(err.Error(), `no reservation`) || !strings.Contains(err.Error(), "eipTag") {
		t.Errorf("the error is %v", err)
	}
	if _, err := w.packet.CreateIPReservation(t.Context(), w.project, packet.IPReservationCreate{
		Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "da", Tags: []string{tag},
	}); err != nil {
		t.Fatal(err)
	}
	w.start(w.config)
	if err := w.sync(); err == nil || !strings.Contains(err.Error(), "2 reservations") {
		t.Errorf("the error is %v", err)
	}
	w.expectHolder("")
}

// TestExternalServiceFoughtOtherLoadBalancers is about the Service that tells
// the address: without a class, MetalLB gave it another address.
func TestExternalServiceFoughtOtherLoadBalancers(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	old := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: ServiceName, Namespace: serviceNamespace},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 443}}},
	}
	if _, err := w.kube.CoreV1().Services(serviceNamespace).Create(ctx, old, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.until("the controller knows the old Service", func() bool {
		_, err := w.controller.services.Services(serviceNamespace).Get(ServiceName)
		return err == nil
	})
	w.until("the Service tells the address", func() bool {
		if err := w.sync(); err != nil {
			t.Log(err)
		}
		service, err := w.kube.CoreV1().Services(serviceNamespace).Get(ctx, ServiceName, metav1.GetOptions{})
		return err == nil && service.Spec.LoadBalancerClass != nil && *service.Spec.LoadBalancerClass == LoadBalancerClass &&
			len(service.Status.LoadBalancer.Ingress) == 1 && service.Status.LoadBalancer.Ingress[0].IP == w.reservation.Address
	})
}

// TestForeignEndpointSlicesWereCopied is about the slices of other Services in
// the namespace default, which the original copied over those of the API
// servers.
func TestForeignEndpointSlicesWereCopied(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	foreign := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "web-abc", Namespace: metav1.NamespaceDefault, Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.1.1.1"}}},
	}
	if _, err := w.kube.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).Create(ctx, foreign, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.kube.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).Delete(ctx, foreign.Name, metav1.DeleteOptions{})
	})
	w.until("the slices are there", func() bool {
		w.mustSync()
		ours, err := w.kube.DiscoveryV1().EndpointSlices(serviceNamespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + ServiceName})
		if err != nil {
			t.Fatal(err)
		}
		for _, slice := range ours.Items {
			if strings.Contains(slice.Name, "web") || len(slice.Endpoints) != 1 || slice.Endpoints[0].Addresses[0] == "10.1.1.1" || *slice.Ports[0].Port != w.port {
				t.Fatalf("the slice is %+v", slice)
			}
		}
		return len(ours.Items) == 1
	})
	before := revision(t, w)
	w.until("the controller knows its own slice", func() bool {
		w.mustSync()
		now := revision(t, w)
		same := now == before
		before = now
		return same
	})
	for range 5 {
		w.mustSync()
	}
	if after := revision(t, w); after != before {
		t.Errorf("rounds without a change wrote: %s, was %s", after, before)
	}
}

// revision tells whether anything that is published was written.
func revision(t *testing.T, w *world) string {
	t.Helper()
	service, err := w.kube.CoreV1().Services(serviceNamespace).Get(t.Context(), ServiceName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text := service.ResourceVersion
	ours, err := w.kube.DiscoveryV1().EndpointSlices(serviceNamespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, slice := range ours.Items {
		text += " " + slice.ResourceVersion
	}
	return text
}

// TestOwnAddressIsComplainedOf is about a process that reaches Kubernetes at
// the address that it moves: when that fails, so does its leader election.
func TestOwnAddressIsComplainedOf(t *testing.T) {
	w := newWorld(t)
	w.controller.prober.host = w.reservation.Address
	w.mustSync()
	if !strings.Contains(w.controller.complained, "the very address that it is to move") {
		t.Errorf("it complained of %q", w.controller.complained)
	}
}
