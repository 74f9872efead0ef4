package bgp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/packetyard/packetyard/internal/ccm/ccmtest"
	"github.com/packetyard/packetyard/pkg/packet"
)

func TestANodeGetsASessionAndAnnotations(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Password = "abcdefghij" })
	device, _ := r.device("node-1")
	peers := r.ensure()

	if sessions := r.sessions(device.ID); len(sessions) != 1 || sessions[0].AddressFamily != packet.BGPIPv4 {
		t.Errorf("the sessions are %+v", sessions)
	}
	source := sourceAddress(device, packet.BGPIPv4).String()
	want := map[string]string{"theirs": "stays"}
	for n, peerIP := range []string{"169.254.255.1", "169.254.255.2"} {
		prefix := fmt.Sprintf("metal.equinix.com/bgp-peers-%d-", n)
		want[prefix+"node-asn"], want[prefix+"peer-asn"], want[prefix+"peer-ip"] = "65000", "65530", peerIP
		want[prefix+"src-ip"], want[prefix+"peer-multi-hop"] = source, "true"
		want[prefix+"bgp-pass"] = base64.StdEncoding.EncodeToString([]byte("abcdefghij"))
	}
	got := maps.Clone(r.nodes()[0].Annotations)
	network := got["metal.equinix.com/network-4-private"]
	if !strings.HasPrefix(network, "10.") || !strings.HasSuffix(network, "/25") {
		t.Errorf("the private network is %q", network)
	}
	delete(got, "metal.equinix.com/network-4-private")
	if got[ChecksumAnnotation] == "" {
		t.Error("there is no checksum")
	}
	delete(got, ChecksumAnnotation)
	if !maps.Equal(got, want) {
		t.Errorf("the annotations are %v, want %v", got, want)
	}
	fromNode, err := r.bgp.Peers(r.nodes()[0])
	if err != nil || !slices.Equal(fromNode, peers["node-1"]) || len(fromNode) != 2 || fromNode[0].Password != "abcdefghij" {
		t.Errorf("the annotations read %v, %v, want %v", fromNode, err, peers["node-1"])
	}
	if text := fmt.Sprintf("%v %+v %#v", fromNode, fromNode, fromNode[0]); strings.Contains(text, "abcdefghij") {
		t.Errorf("%s shows the password", text)
	}
}

// Finding 12 of upstream's: BGP was enabled on the project though nobody had
// asked for any.
func TestWithoutNodesNothingIsEnabled(t *testing.T) {
	r := newRig(t)
	r.device("node-1")
	r.network.Take()
	controller := &Controller{bgp: r.bgp}
	if err := controller.bgp.Withdraw(t.Context(), r.nodes()); err != nil {
		t.Error(err)
	}
	if requests := r.network.Take(); len(requests) != 0 || r.patches() != 0 {
		t.Errorf("requests: %v, %d changes of nodes", requests, r.patches())
	}
}

// Finding 11 of upstream's: "md5": "" was sent where there was no password,
// which the API's own description forbids.
func TestNoPasswordIsNotAnEmptyPassword(t *testing.T) {
	r := newRig(t)
	bodies := make(chan string, 1)
	r.network.Spoil(func(_ http.ResponseWriter, request *http.Request, _ http.Handler) bool {
		if strings.HasSuffix(request.URL.Path, "/bgp-configs") {
			body := make([]byte, request.ContentLength)
			_, _ = request.Body.Read(body)
			bodies <- string(body)
			request.Body = http.NoBody
		}
		return false
	})
	_, _ = r.bgp.EnsureProject(t.Context())
	if body := <-bodies; strings.Contains(body, "md5") || !strings.Contains(body, `"asn":65000`) {
		t.Errorf("the request is %s", body)
	}
}

func TestAProjectThatHasBGPKeepsIt(t *testing.T) {
	r := newRig(t, func(c *Config) { c.LocalASN, c.Password = 65001, "0123456789" })
	if err := r.client.RequestBGPConfig(t.Context(), r.server.ProjectID, packet.BGPConfigRequest{DeploymentType: packet.BGPLocal, ASN: 65100, MD5: "projectspass"}); err != nil {
		t.Fatal(err)
	}
	r.device("node-1")
	peers := r.ensure()["node-1"]
	if len(peers) != 2 || peers[0].NodeASN != 65100 || peers[0].Password != "projectspass" {
		t.Errorf("the peers are %+v", peers)
	}
}

func TestGlobalBGPThatWaitsForItsApproval(t *testing.T) {
	r := newRig(t)
	if err := r.client.RequestBGPConfig(t.Context(), r.server.ProjectID, packet.BGPConfigRequest{DeploymentType: packet.BGPGlobal, ASN: 65100}); err != nil {
		t.Fatal(err)
	}
	r.device("node-1")
	r.network.Spoil(func(w http.ResponseWriter, request *http.Request, pass http.Handler) bool {
		if !strings.HasSuffix(request.URL.Path, "/bgp-config") {
			return false
		}
		// Whoever approves it takes longer than the server's own clock.
		answer := httptest.NewRecorder()
		pass.ServeHTTP(answer, request)
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write([]byte(strings.Replace(answer.Body.String(), `"status":"enabled"`, `"status":"requested"`, 1)))
		return true
	})
	if _, err := r.bgp.EnsureDevices(t.Context(), r.nodes()); !errors.Is(err, ErrRequested) {
		t.Errorf("error is %v", err)
	}
	if r.patches() != 0 {
		t.Error("a node was changed")
	}
}

// Upstream swallowed errors of reading the project's configuration, and asked
// for a new one instead.
func TestAnErrorOfReadingIsNoReasonToWrite(t *testing.T) {
	r := newRig(t)
	r.device("node-1")
	r.network.Take()
	r.network.Spoil(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return true
	})
	if _, err := r.bgp.EnsureDevices(t.Context(), r.nodes()); err == nil {
		t.Error("there is no error")
	}
	for _, request := range r.network.Take() {
		if !strings.HasPrefix(request, "GET ") {
			t.Errorf("request %s after a read that failed", request)
		}
	}
}

// Weakness of upstream's: each node cost a failing POST and a GET, for each
// service and each sync. Now it is lists, also after a restart.
func TestBGPCostsListsNotNodes(t *testing.T) {
	r := newRig(t)
	const count = 5
	for i := range count {
		r.device(fmt.Sprintf("node-%d", i))
	}
	r.network.Take()
	r.ensure()
	requests := r.network.Take()
	made := 0
	for _, request := range requests {
		if strings.HasPrefix(request, "POST ") {
			made++
		}
	}
	// Configuration, devices, sessions; enabling, once more; two for each device.
	if made != count+1 || len(requests) != 5+2*count {
		t.Errorf("new nodes: %d requests, of which %d change something: %v", len(requests), made, requests)
	}
	patches := r.patches()
	for range 50 {
		r.ensure()
	}
	if requests := r.network.Take(); len(requests) != 0 {
		t.Errorf("50 times more: requests %v", requests)
	}
	r.restart()
	r.ensure()
	if requests := r.network.Take(); len(requests) != 3 {
		t.Errorf("a restart: requests %v, want one for the project, one for its devices, one for its sessions", requests)
	}
	r.device("one-more")
	r.network.Take()
	r.ensure()
	if requests := r.network.Take(); len(requests) > 5 {
		t.Errorf("one node more: requests %v", requests)
	}
	if n := r.patches() - patches; n != 1 {
		t.Errorf("%d changes of nodes after the first, want that of the one that is new", n)
	}
}

// Finding 13 of upstream's: once a node had its private network, its
// annotations were neither refreshed nor removed.
func TestAnnotationsAreKeptCurrentAndRemoved(t *testing.T) {
	r := newRig(t)
	device, _ := r.device("node-1")
	r.ensure()
	good := maps.Clone(r.nodes()[0].Annotations)
	change := func(f func(map[string]string)) {
		t.Helper()
		node := r.nodes()[0].DeepCopy()
		f(node.Annotations)
		if _, err := r.kube.CoreV1().Nodes().Update(t.Context(), node, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	peerIP := "metal.equinix.com/bgp-peers-0-peer-ip"
	for name, damage := range map[string]func(map[string]string){
		"changed":        func(a map[string]string) { a[peerIP] = "192.0.2.1" },
		"removed":        func(a map[string]string) { delete(a, peerIP) },
		"all removed":    func(a map[string]string) { clear(a); a["theirs"] = "stays" },
		"one too many":   func(a map[string]string) { a["metal.equinix.com/bgp-peers-7-peer-ip"] = "192.0.2.1" },
		"wrong checksum": func(a map[string]string) { a[ChecksumAnnotation] = "0" },
		"upstream's own": func(a map[string]string) { delete(a, ChecksumAnnotation) },
	} {
		for _, restarted := range []bool{false, true} {
			change(damage)
			if restarted {
				r.restart()
			}
			r.ensure()
			if got := r.nodes()[0].Annotations; !maps.Equal(got, good) {
				t.Errorf("%s, restarted %t: the annotations are %v, want %v", name, restarted, got, good)
			}
		}
	}

	// A session that was made anew may have other neighbours.
	before := r.network
	before.Take()
	if err := r.client.DeleteBGPSession(t.Context(), r.sessions(device.ID)[0].ID); err != nil {
		t.Fatal(err)
	}
	r.clock.advance(sessionsTTL)
	r.ensure()
	if requests := before.Take(); !slices.Contains(requests, "POST /devices/"+device.ID+"/bgp/sessions") || !slices.Contains(requests, "GET /devices/"+device.ID+"/bgp/neighbors") {
		t.Errorf("the requests are %v", requests)
	}

	if err := r.bgp.Withdraw(t.Context(), r.nodes()); err != nil {
		t.Fatal(err)
	}
	if got := r.nodes()[0].Annotations; !maps.Equal(got, map[string]string{"theirs": "stays"}) {
		t.Errorf("the annotations are %v, want only those of others", got)
	}
	// What somebody wrote by hand stays.
	change(func(a map[string]string) { a[peerIP] = "192.0.2.1" })
	if err := r.bgp.Withdraw(t.Context(), r.nodes()); err != nil || r.nodes()[0].Annotations[peerIP] == "" {
		t.Errorf("annotations of somebody else are gone (%v)", err)
	}
}

// The map of the informer's own node was written to.
func TestTheSharedNodeIsNotChanged(t *testing.T) {
	r := newRig(t)
	_, node := r.device("node-1")
	shared := node.DeepCopy()
	if _, err := r.bgp.EnsureDevices(t.Context(), []*corev1.Node{shared}); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(shared.Annotations, node.Annotations) {
		t.Errorf("the annotations are %v", shared.Annotations)
	}
}

func TestIPv6Sessions(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Families = []string{packet.BGPIPv4, packet.BGPIPv6} })
	device, _ := r.device("node-1")
	peers := r.ensure()["node-1"]
	if sessions := r.sessions(device.ID); len(sessions) != 2 {
		t.Errorf("the sessions are %+v", sessions)
	}
	var text []string
	for _, peer := range peers {
		text = append(text, peer.PeerIP.String())
		if want := sourceAddress(device, map[bool]string{true: packet.BGPIPv4, false: packet.BGPIPv6}[peer.PeerIP.Is4()]); peer.SourceIP != want {
			t.Errorf("the session with %s comes from %s, want %s", peer.PeerIP, peer.SourceIP, want)
		}
	}
	if want := []string{"169.254.255.1", "169.254.255.2", "fc00::e", "fc00::f"}; !slices.Equal(text, want) {
		t.Errorf("the peers are %v, want %v", text, want)
	}
	r.network.Take()
	r.ensure()
	if requests := r.network.Take(); len(requests) != 0 {
		t.Errorf("once more: requests %v", requests)
	}
}

func TestNodesWithoutADeviceHaveNoBGP(t *testing.T) {
	r := newRig(t)
	r.device("node-1")
	nodes := append(r.nodes(),
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "foreign"}, Spec: corev1.NodeSpec{ProviderID: "aws:///eu-west-1a/i-0123"}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "new"}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "gone"}, Spec: corev1.NodeSpec{ProviderID: "packet://00000000-0000-4000-8000-000000000001"}})
	peers, err := r.bgp.EnsureDevices(t.Context(), nodes)
	if err != nil || len(peers) != 1 {
		t.Errorf("got %v, %v", peers, err)
	}
}

// A session that was made by somebody else in between is one, too.
func TestASessionThatExistsAlready(t *testing.T) {
	r := newRig(t)
	device, _ := r.device("node-1")
	if _, err := r.bgp.EnsureProject(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.network.Spoil(func(w http.ResponseWriter, request *http.Request, _ http.Handler) bool {
		if !strings.HasSuffix(request.URL.Path, "/projects/"+r.server.ProjectID+"/bgp/sessions") {
			return false
		}
		// The listing is just too early.
		_, _ = w.Write([]byte(`{"bgp_sessions":[]}`))
		if _, err := r.client.CreateBGPSession(t.Context(), device.ID, packet.BGPSessionCreate{AddressFamily: packet.BGPIPv4}); err != nil {
			t.Error(err)
		}
		return true
	})
	if peers := r.ensure(); len(peers["node-1"]) != 2 {
		t.Errorf("the peers are %v", peers)
	}
	if n := len(r.sessions(device.ID)); n != 1 {
		t.Errorf("there are %d sessions", n)
	}
}

// The API fails one call in five, in six ways: everything converges, nothing is
// made twice, and nothing that was there is lost.
func TestBGPConvergesThoughOneCallInFiveFails(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Families = []string{packet.BGPIPv4, packet.BGPIPv6} })
	var devices []*packet.Device
	for i := range 4 {
		device, _ := r.device(fmt.Sprintf("node-%d", i))
		devices = append(devices, device)
	}
	r.network.Spoil(ccmtest.OneInFive())
	rounds := 0
	until(t, "all nodes have their peers", func() bool {
		rounds++
		r.clock.advance(time.Minute)
		peers, err := r.bgp.EnsureDevices(t.Context(), r.nodes())
		return err == nil && len(peers) == len(devices)
	})
	t.Logf("%d rounds, %d requests", rounds, len(r.network.Take()))
	for range 20 {
		r.clock.advance(sessionsTTL)
		_, _ = r.bgp.EnsureDevices(t.Context(), r.nodes())
	}
	for _, device := range devices {
		if n := len(r.sessions(device.ID)); n != 2 {
			t.Errorf("device %s has %d sessions, want 2", device.Hostname, n)
		}
	}
	for _, node := range r.nodes() {
		if peers, err := r.bgp.Peers(node); err != nil || len(peers) != 4 {
			t.Errorf("node %s has the peers %v, %v", node.Name, peers, err)
		}
	}
}
