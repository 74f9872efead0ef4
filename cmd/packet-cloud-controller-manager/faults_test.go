package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	cloudproviderapi "k8s.io/cloud-provider/api"

	"github.com/packetyard/packetyard/internal/ccm/ccmtest"
	"github.com/packetyard/packetyard/internal/processtest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// The program against an API that fails one call in five, in six ways: it
// converges, nothing is made twice or leaked, and nothing is deleted that lives.
func TestOneCallInFiveFails(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	const nodes, services = 12, 3
	w.network.Spoil(ccmtest.OneInFive())
	p := w.start(map[string]any{"loadbalancer": "kube-vip://", "metro": "da", "bgpAddressFamilies": "ipv4,ipv6", "apiTimeout": "1s"})
	w.join(ctx, "fault", nodes)
	for i := range services {
		w.service(ctx, fmt.Sprintf("web-%d", i))
	}
	// Nodes that are not ready are looked at every 5 s, which is when a
	// mistake would delete them.
	for _, device := range w.devices {
		if err := w.report(ctx, device.Hostname, corev1.ConditionFalse); err != nil {
			t.Fatal(err)
		}
	}
	w.awaitInitialised(ctx)
	processtest.Until(t, 3*time.Minute, "all services have an address", func() bool { return w.served(ctx, services) })
	processtest.Until(t, 3*time.Minute, "all nodes have their peers", func() bool {
		for _, node := range w.nodes(ctx) {
			if node.Annotations["metal.equinix.com/bgp-peers-3-peer-ip"] == "" {
				return false
			}
		}
		return true
	})

	// What is gone goes, and nothing else.
	gone := w.devices[0]
	if err := w.client.DeleteDevice(ctx, gone.ID, true); err != nil {
		t.Fatal(err)
	}
	processtest.Until(t, 3*time.Minute, "the node of the device that is gone is deleted", func() bool {
		_, there := w.nodes(ctx)[gone.Hostname]
		return !there
	})
	if left := w.nodes(ctx); len(left) != nodes-1 {
		t.Errorf("%d nodes are left, want %d", len(left), nodes-1)
	}
	w.noneShutDown(ctx)
	if err := w.kube.CoreV1().Services("default").Delete(ctx, "web-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	processtest.Until(t, 3*time.Minute, "the address of the service that is gone is released, and no other", func() bool {
		return len(w.elastic(ctx)) == services-1 && w.served(ctx, services-1)
	})
	sessions, err := w.client.ProjectBGPSessions(ctx, w.api.ProjectID)
	if err != nil {
		t.Fatal(err)
	}
	if len(sessions) != 2*(nodes-1) {
		t.Errorf("there are %d BGP sessions, want two for each of %d devices", len(sessions), nodes-1)
	}
	if strings.Contains(p.Log.String(), w.api.Token) {
		t.Error("the log shows the token")
	}
	t.Logf("%d requests", len(w.network.Take()))
}

// noneShutDown wants no node to be tainted as shut down: all devices run.
func (w *world) noneShutDown(ctx context.Context) {
	w.t.Helper()
	for name, node := range w.nodes(ctx) {
		for _, taint := range node.Spec.Taints {
			if taint.Key == cloudproviderapi.TaintNodeShutdown {
				w.t.Errorf("node %s, whose device runs, is tainted as shut down", name)
			}
		}
	}
}

// elastic are the reservations that services have.
func (w *world) elastic(ctx context.Context) []packet.IPReservation {
	w.t.Helper()
	all, err := w.client.IPReservations(ctx, w.api.ProjectID)
	if err != nil {
		w.t.Fatal(err)
	}
	var found []packet.IPReservation
	for _, reservation := range all {
		if !reservation.Management && reservation.Type == packet.IPTypePublicIPv4 {
			found = append(found, reservation)
		}
	}
	return found
}

// An API that is not there deletes no node and taints none, and when it is back
// everything goes on.
func TestAnOutageDeletesNothing(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.start(map[string]any{"apiTimeout": "1s"})
	w.join(ctx, "outage", 3)
	w.awaitInitialised(ctx)
	w.network.Spoil(ccmtest.Gone())
	for _, device := range w.devices {
		if err := w.report(ctx, device.Hostname, corev1.ConditionUnknown); err != nil {
			t.Fatal(err)
		}
	}
	w.network.Take()
	// The framework looks every 5 s. After so many requests that failed it has
	// looked at every node more than once.
	asked := 0
	processtest.Until(t, 3*time.Minute, "the API was asked in vain often enough", func() bool {
		asked += len(w.network.Take())
		return asked >= 20
	})
	w.noneShutDown(ctx)
	if n := len(w.nodes(ctx)); n != 3 {
		t.Fatalf("%d nodes are left of 3", n)
	}
	w.network.Spoil(nil)
	if err := w.client.DeleteDevice(ctx, w.devices[0].ID, true); err != nil {
		t.Fatal(err)
	}
	processtest.Until(t, 2*time.Minute, "the node of a device that is gone is deleted", func() bool { return len(w.nodes(ctx)) == 2 })
}

// onlyToken lets no token pass but one, which stands for the API's own.
func onlyToken(token, stands string) ccmtest.Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Header.Get("X-Auth-Token") != token {
			ccmtest.Refuse(w, http.StatusUnauthorized, "Invalid authentication token")
			return true
		}
		r.Header.Set("X-Auth-Token", stands)
		return false
	}
}

// A token that is renewed in the mounted Secret is used without a restart.
func TestARenewedTokenIsUsed(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.start(nil)
	w.join(ctx, "before", 1)
	w.awaitInitialised(ctx)
	// The old token ends, as far as anybody can see from here.
	w.network.Spoil(onlyToken("renewed", w.api.Token))
	content, err := json.Marshal(map[string]any{"apiKey": "renewed", "projectID": w.api.ProjectID, "base-url": w.network.URL})
	if err != nil {
		t.Fatal(err)
	}
	w.write("cloud-sa.json", content)
	w.join(ctx, "after", 1)
	w.awaitInitialised(ctx)
}

// What the caches leave out to be small is not taken from the objects.
func TestWhatIsNotCachedIsKept(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	devices := w.make(ctx, "whole", 1)
	w.register(ctx, devices)
	name := devices[0].Hostname
	images := []byte(`{"status":{"images":[{"names":["example.com/image:1"],"sizeBytes":1}]}}`)
	if _, err := w.kube.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, images, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	w.start(map[string]any{"bgp": "nodes"})
	w.awaitInitialised(ctx)
	processtest.Until(t, time.Minute, "the node has its peers", func() bool {
		return w.nodes(ctx)[name].Annotations["metal.equinix.com/bgp-peers-0-peer-ip"] != ""
	})
	node, err := w.kube.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(node.Status.Images) != 1 || len(node.ManagedFields) < 2 {
		t.Errorf("the node has the images %v, and %d managers of its fields", node.Status.Images, len(node.ManagedFields))
	}
}

// Issues 479, 517 and 551 of upstream's: the log for debugging was lost, and
// where there was one it showed a token.
func TestTheDebugLogShowsRequestsAndNoSecrets(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	const password = "abcdefghijklmnop"
	p := w.start(map[string]any{"debug": true, "bgp": "nodes", "bgpPass": password})
	w.join(ctx, "debug", 1)
	w.awaitInitialised(ctx)
	processtest.Until(t, time.Minute, "the node has the password", func() bool {
		return w.nodes(ctx)["debug-0"].Annotations["metal.equinix.com/bgp-peers-0-bgp-pass"] != ""
	})
	log := p.Log.String()
	for _, text := range []string{"Packet API request", "/projects/" + w.api.ProjectID + "/devices", "/bgp/neighbors", "status=200"} {
		if !strings.Contains(log, text) {
			t.Errorf("the log does not mention %q", text)
		}
	}
	for _, secret := range []string{w.api.Token, password, base64.StdEncoding.EncodeToString([]byte(password))} {
		if strings.Contains(log, secret) {
			t.Error("the log shows a secret")
		}
	}
}

// Issues 140, 145 and 147 of upstream's: the controller of services was silently
// not started.
func TestWhichControllersAreStarted(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name          string
		configuration map[string]any
		started       []string
		skipped       []string
	}{
		{"without load balancers", nil, []string{"cloud-node-controller", "cloud-node-lifecycle-controller", "packet-bgp-controller"},
			[]string{"service-lb-controller", "packet-load-balancer-controller", "packet-control-plane-endpoint-controller", "node-route-controller"}},
		{"with them", map[string]any{"loadbalancer": "empty://", "metro": "da", "eipTag": "no-such-tag"},
			[]string{"cloud-node-controller", "cloud-node-lifecycle-controller", "packet-bgp-controller", "service-lb-controller",
				"packet-load-balancer-controller", "packet-control-plane-endpoint-controller"}, []string{"node-route-controller"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := w.start(test.configuration)
			for _, name := range test.started {
				processtest.Until(t, time.Minute, name+" is started", func() bool { return strings.Contains(p.Log.String(), `Started "`+name+`"`) })
			}
			for _, name := range test.skipped {
				processtest.Until(t, time.Minute, name+" is skipped", func() bool { return strings.Contains(p.Log.String(), `Skipping "`+name+`"`) })
			}
			p.Kill()
		})
	}
}
