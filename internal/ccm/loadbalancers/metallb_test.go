package loadbalancers

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/packetyard/packetyard/internal/ccm/bgp"
)

var (
	poolsResource          = schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "ipaddresspools"}
	advertisementsResource = schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "bgpadvertisements"}
	peersResource          = schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta2", Resource: "bgppeers"}
)

const testPassword = "hunter2hunter2"

// newMetalLBWorld has MetalLB in the test's own namespace, and nodes.
func newMetalLBWorld(t testing.TB, format Format, nodes int, configure ...func(*Config)) *world {
	t.Helper()
	w := newWorld(t)
	w.configure = append(configure, func(c *Config) {
		c.Setting = Setting{Implementation: MetalLB, MetalLB: MetalLBSetting{
			Namespace: w.namespace, ConfigMap: "config", Format: format, SharedPeers: c.Setting.MetalLB.SharedPeers,
		}}
	})
	for i := range nodes {
		w.node(i)
	}
	w.restart()
	return w
}

func (w *world) nodeName(i int) string { return fmt.Sprintf("%s-node-%d", w.namespace, i) }

// node makes a node with the annotations of its two BGP peers.
func (w *world) node(i int) *corev1.Node {
	w.t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:        w.nodeName(i),
		Labels:      map[string]string{corev1.LabelHostname: w.nodeName(i), "number": fmt.Sprint(i)},
		Annotations: peerAnnotations(fmt.Sprintf("10.%d.%d.1", i/250, i%250), testPassword),
	}}
	made, err := w.kube.CoreV1().Nodes().Create(w.t.Context(), node, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.removeNode(i) })
	return made
}

func peerAnnotations(source, password string) map[string]string {
	annotations := map[string]string{}
	names := bgp.DefaultAnnotations()
	for n := range 2 {
		set := func(name, value string) {
			annotations[strings.ReplaceAll(name, bgp.Number, fmt.Sprint(n))] = value
		}
		set(names.NodeASN, "65000")
		set(names.PeerASN, "65530")
		set(names.PeerIP, fmt.Sprintf("169.254.255.%d", n+1))
		set(names.SourceIP, source)
		set(names.MultiHop, "true")
		if password != "" {
			set(names.Password, base64.StdEncoding.EncodeToString([]byte(password)))
		}
	}
	return annotations
}

func (w *world) changeNode(i int, change func(*corev1.Node)) {
	w.t.Helper()
	node, err := w.kube.CoreV1().Nodes().Get(w.t.Context(), w.nodeName(i), metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	change(node)
	if node, err = w.kube.CoreV1().Nodes().Update(w.t.Context(), node, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.until("the cache has the node", func() bool {
		cached, err := w.nodes.Get(node.Name)
		return err == nil && cached.ResourceVersion == node.ResourceVersion
	})
}

func (w *world) removeNode(i int) {
	err := w.kube.CoreV1().Nodes().Delete(context.Background(), w.nodeName(i), metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Errorf("removing a node: %v", err)
	}
	w.until("the node is gone from the cache", func() bool {
		_, err := w.nodes.Get(w.nodeName(i))
		return apierrors.IsNotFound(err)
	})
}

// metalLB lists MetalLB's objects of a kind by name.
func (w *world) metalLB(resource schema.GroupVersionResource) map[string]*unstructured.Unstructured {
	w.t.Helper()
	list, err := w.dynamic.Resource(resource).Namespace(w.namespace).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	objects := map[string]*unstructured.Unstructured{}
	for i := range list.Items {
		objects[list.Items[i].GetName()] = &list.Items[i]
	}
	return objects
}

// spec is a field of an object's spec, as text.
func spec(object *unstructured.Unstructured, fields ...string) string {
	if object == nil {
		return "(no object)"
	}
	value, found, err := unstructured.NestedFieldNoCopy(object.Object, append([]string{"spec"}, fields...)...)
	if err != nil || !found {
		return ""
	}
	return fmt.Sprint(value)
}

// pooled are the addresses of all pools.
func (w *world) pooled() []string {
	w.t.Helper()
	var addresses []string
	for _, pool := range w.metalLB(poolsResource) {
		addresses = append(addresses, spec(pool, "addresses"))
	}
	slices.Sort(addresses)
	return addresses
}

func TestMetalLBResources(t *testing.T) {
	w := newMetalLBWorld(t, FormatAutomatic, 2)
	w.service("web")
	address := w.address("web")

	pools := w.metalLB(poolsResource)
	if len(pools) != 1 {
		t.Fatalf("pools are %v", keys(pools))
	}
	pool := pools[keys(pools)[0]]
	if spec(pool, "addresses") != "["+address+"/32]" || spec(pool, "autoAssign") != "false" || pool.GetLabels()["cloud-provider"] != "equinix-metal" {
		t.Errorf("the pool is %v", pool.Object)
	}
	peers := w.metalLB(peersResource)
	if len(peers) != 4 {
		t.Fatalf("peers are %v", keys(peers))
	}
	peer := peers[w.nodeName(1)+"-0"]
	for field, want := range map[string]string{
		"myASN": "65000", "peerASN": "65530", "peerAddress": "169.254.255.1", "peerPort": "179", "sourceAddress": "10.0.1.1", "ebgpMultiHop": "true",
		"password": "", "nodeSelectors": fmt.Sprintf("[map[matchLabels:map[kubernetes.io/hostname:%s]]]", w.nodeName(1)),
	} {
		if got := spec(peer, field); got != want {
			t.Errorf("%s of the peer is %q, want %q", field, got, want)
		}
	}
	secret, err := w.kube.CoreV1().Secrets(w.namespace).Get(t.Context(), spec(peer, "passwordSecret", "name"), metav1.GetOptions{})
	if err != nil || string(secret.Data["password"]) != testPassword || secret.Type != corev1.SecretTypeBasicAuth || spec(peer, "passwordSecret", "namespace") != w.namespace {
		t.Errorf("the peer's Secret: %v, of type %s", err, secret.Type)
	}
	advertisements := w.metalLB(advertisementsResource)
	selector, err := metav1.LabelSelectorAsSelector(poolSelector(t, advertisements["equinix-metal-bgp-adv"]))
	if len(advertisements) != 1 || err != nil || !selector.Matches(labels.Set(pool.GetLabels())) {
		t.Errorf("advertisements are %v, of pools %v: %v", keys(advertisements), selector, err)
	}

	// A second Service changes nothing of the peers, and the last one that goes
	// takes everything along.
	before := peer.GetResourceVersion()
	w.service("api", withPort(81))
	w.address("api")
	if got := w.metalLB(peersResource)[w.nodeName(1)+"-0"]; got.GetResourceVersion() != before {
		t.Error("the peers were written anew")
	}
	w.remove("web")
	if got := w.pooled(); len(got) != 1 || strings.Contains(got[0], address) {
		t.Errorf("pools are left of %v", got)
	}
	w.remove("api")
	for _, resource := range []schema.GroupVersionResource{poolsResource, peersResource, advertisementsResource} {
		if left := w.metalLB(resource); len(left) > 0 {
			t.Errorf("left of %s are %v", resource.Resource, keys(left))
		}
	}
	if _, err := w.kube.CoreV1().Secrets(w.namespace).Get(t.Context(), secret.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Secret is left: %v", err)
	}
}

func poolSelector(t *testing.T, advertisement *unstructured.Unstructured) *metav1.LabelSelector {
	t.Helper()
	if advertisement == nil {
		return nil
	}
	selectors, _, err := unstructured.NestedSlice(advertisement.Object, "spec", "ipAddressPoolSelectors")
	if err != nil || len(selectors) != 1 {
		t.Fatalf("the advertisement is %v", advertisement.Object)
	}
	matchLabels, _, _ := unstructured.NestedStringMap(selectors[0].(map[string]any), "matchLabels")
	return &metav1.LabelSelector{MatchLabels: matchLabels}
}

// The original compared everything but the source address, so that a node
// whose address changed never announced anything again: #412.
func TestASourceAddressThatChanges(t *testing.T) {
	for _, format := range []Format{FormatResources, FormatConfigMap} {
		t.Run(string(format), func(t *testing.T) {
			w := newMetalLBWorld(t, format, 1)
			w.service("web")
			w.address("web")
			w.changeNode(0, func(node *corev1.Node) { node.Annotations = peerAnnotations("10.9.9.9", "another1password") })
			if err := w.UpdateLoadBalancer(t.Context(), "", w.live("web"), nil); err != nil {
				t.Fatal(err)
			}
			if format == FormatConfigMap {
				if config := w.configMapText(); strings.Count(config, "10.9.9.9") != 2 || strings.Contains(config, "10.0.0.1") || !strings.Contains(config, "another1password") {
					t.Errorf("the configuration is\n%s", config)
				}
				return
			}
			for name, peer := range w.metalLB(peersResource) {
				if spec(peer, "sourceAddress") != "10.9.9.9" {
					t.Errorf("peer %s has source address %s", name, spec(peer, "sourceAddress"))
				}
			}
			secret, err := w.kube.CoreV1().Secrets(w.namespace).Get(t.Context(), "cloud-provider-packet-bgp", metav1.GetOptions{})
			if err != nil || string(secret.Data["password"]) != "another1password" {
				t.Errorf("the password was not changed: %v", err)
			}
		})
	}
}

// configMapText is the configuration in the ConfigMap format.
func (w *world) configMapText() string {
	w.t.Helper()
	configMap, err := w.kube.CoreV1().ConfigMaps(w.namespace).Get(w.t.Context(), "config", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return configMap.Data["config"]
}

// The original only ever added peers.
func TestPeersOfANodeThatGoes(t *testing.T) {
	for _, format := range []Format{FormatResources, FormatConfigMap} {
		t.Run(string(format), func(t *testing.T) {
			w := newMetalLBWorld(t, format, 3)
			w.service("web")
			w.address("web")
			w.removeNode(0)
			w.changeNode(1, func(node *corev1.Node) { node.Labels[corev1.LabelNodeExcludeBalancers] = "true" })
			if err := w.UpdateLoadBalancer(t.Context(), "", w.live("web"), nil); err != nil {
				t.Fatal(err)
			}
			if format == FormatConfigMap {
				if config := w.configMapText(); strings.Contains(config, w.nodeName(0)) || strings.Contains(config, w.nodeName(1)) || strings.Count(config, w.nodeName(2)) != 2 {
					t.Errorf("the configuration is\n%s", config)
				}
				return
			}
			if peers := keys(w.metalLB(peersResource)); !slices.Equal(peers, []string{w.nodeName(2) + "-0", w.nodeName(2) + "-1"}) {
				t.Errorf("peers are %v", peers)
			}
		})
	}
}

// MetalLB before 0.16 refuses its whole configuration in the FRR modes if two
// peers have one address: #427.
func TestPeersAreNotDuplicatedWhereTheyAreShared(t *testing.T) {
	w := newMetalLBWorld(t, FormatResources, 5, func(c *Config) { c.Setting.MetalLB.SharedPeers = true })
	w.service("web")
	w.address("web")
	w.service("api", withPort(81))
	w.address("api")
	seen := map[string]bool{}
	for name, peer := range w.metalLB(peersResource) {
		address := spec(peer, "peerAddress")
		if seen[address] || spec(peer, "sourceAddress") != "" || strings.Count(spec(peer, "nodeSelectors"), "-node-") != 5 {
			t.Errorf("peer %s is %v", name, peer.Object["spec"])
		}
		seen[address] = true
	}
	if len(seen) != 2 {
		t.Errorf("peers have addresses %v", keys(seen))
	}
}

// A Service may have its address announced by some nodes only. One whose
// selector is spoiled is announced from where it was.
func TestNodeSelectorOfAService(t *testing.T) {
	w := newMetalLBWorld(t, FormatResources, 2)
	w.service("all")
	w.service("edge", withPort(81), annotated(AnnotationNodeSelector, "number in (1,7),!spare"))
	w.address("all")
	edge := w.address("edge")
	advertisements := w.metalLB(advertisementsResource)
	names := keys(advertisements)
	if len(names) != 2 {
		t.Fatalf("advertisements are %v", names)
	}
	ofEdge := advertisements[names[1]]
	if got, want := spec(ofEdge, "nodeSelectors"), "[map[matchExpressions:[map[key:number operator:In values:[1 7]] map[key:spare operator:DoesNotExist]]]]"; got != want {
		t.Errorf("the nodes are %s, want %s", got, want)
	}
	check := func(when string) {
		t.Helper()
		selector, err := metav1.LabelSelectorAsSelector(poolSelector(t, w.metalLB(advertisementsResource)[names[1]]))
		if err != nil {
			t.Fatal(err)
		}
		for _, pool := range w.metalLB(poolsResource) {
			if want := strings.Contains(spec(pool, "addresses"), edge); selector.Matches(labels.Set(pool.GetLabels())) != want {
				t.Errorf("%s: pool %s is advertised by the edge nodes: %v", when, pool.GetName(), !want)
			}
		}
	}
	check("at first")
	w.change("edge", annotated(AnnotationNodeSelector, "number in"))
	if err := w.sync("edge"); err == nil {
		t.Error("a spoiled selector is accepted")
	}
	w.address("all")
	w.service("third", withPort(82))
	w.address("third")
	check("with a spoiled selector")
	w.change("edge", func(s *corev1.Service) { delete(s.Annotations, AnnotationNodeSelector) })
	w.address("edge")
	if names := keys(w.metalLB(advertisementsResource)); len(names) != 1 {
		t.Errorf("advertisements are %v", names)
	}
}

// A node selector of the controller's is for all Services.
func TestNodeSelectorOfTheController(t *testing.T) {
	w := newMetalLBWorld(t, FormatResources, 3, func(c *Config) { c.NodeSelector = labels.SelectorFromSet(labels.Set{"number": "1"}) })
	w.service("web")
	w.address("web")
	if peers := keys(w.metalLB(peersResource)); !slices.Equal(peers, []string{w.nodeName(1) + "-0", w.nodeName(1) + "-1"}) {
		t.Errorf("peers are %v", peers)
	}
}

// Services of one address have one pool: MetalLB refuses two, and shares an
// address only between Services that say so.
func TestMetalLBSharedAddress(t *testing.T) {
	w := newMetalLBWorld(t, FormatResources, 1)
	shared := annotated(AnnotationSharingKey, "front")
	w.service("http", shared, withPort(80))
	w.service("https", shared, withPort(443))
	w.address("http")
	w.address("https")
	if pools := w.pooled(); len(pools) != 1 {
		t.Errorf("pools are %v", pools)
	}
	if a, b := w.live("http").Annotations[annotationMetalLBSharing], w.live("https").Annotations[annotationMetalLBSharing]; a == "" || a != b {
		t.Errorf("MetalLB's annotations are %q and %q", a, b)
	}
	w.remove("http")
	if pools := w.pooled(); len(pools) != 1 {
		t.Errorf("pools are %v", pools)
	}
	w.change("https", func(s *corev1.Service) { delete(s.Annotations, AnnotationSharingKey) })
	w.address("https")
	if key, found := w.live("https").Annotations[annotationMetalLBSharing]; found {
		t.Errorf("MetalLB's annotation is still %q", key)
	}
}

// The original released an address before MetalLB stopped announcing it, and
// left the pool of an address that the user brought.
func TestAnAddressIsReleasedOnlyWhenNobodyAnnouncesItAnyMore(t *testing.T) {
	refuse := false
	w := newMetalLBWorld(t, FormatResources, 1)
	w.wrap = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if refuse && r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "metallb.io") {
				return nil, errors.New("cut off")
			}
			return next.RoundTrip(r)
		})
	}
	w.restart()
	w.service("web")
	w.service("own", withPort(81), withAddress("203.0.113.9"))
	w.address("web")
	w.address("own")
	w.change("web", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort })
	refuse = true
	if err := w.sync("web"); err == nil || len(w.elastic()) != 1 {
		t.Errorf("with MetalLB out of reach: %v, reserved are %v", err, w.elasticAddresses())
	}
	refuse = false
	if err := w.sync("web"); err != nil || len(w.elastic()) != 0 {
		t.Errorf("with MetalLB in reach: %v, reserved are %v", err, w.elasticAddresses())
	}
	w.remove("own")
	if pools := w.pooled(); len(pools) != 0 {
		t.Errorf("pools are %v", pools)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
