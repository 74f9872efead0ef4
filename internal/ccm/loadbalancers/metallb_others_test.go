package loadbalancers

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/yaml"

	"github.com/packetyard/packetyard/internal/ccm/loadbalancers/metallb"
)

// What the original made is taken over: the pool keeps its name, so that
// MetalLB goes on to announce it, and the password moves into a Secret.
func TestTheOriginalsResourcesAreTakenOver(t *testing.T) {
	w := newMetalLBWorld(t, FormatResources, 1)
	w.service("web")
	own := w.address("web")
	w.remove("web")
	apply := func(resource schema.GroupVersionResource, kind, name string, labels map[string]string, spec map[string]any) {
		t.Helper()
		object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
		object.SetGroupVersionKind(resource.GroupVersion().WithKind(kind))
		object.SetName(name)
		object.SetLabels(labels)
		if _, err := w.dynamic.Resource(resource).Namespace(w.namespace).Create(t.Context(), object, metav1.CreateOptions{FieldManager: "cloud-provider-equinix-metal"}); err != nil {
			t.Fatal(err)
		}
	}
	provider := map[string]string{"cloud-provider": "equinix-metal"}
	ofService := map[string]string{"cloud-provider": "equinix-metal", "service-web": "namespace-" + w.namespace}
	apply(poolsResource, "IPAddressPool", w.namespace+".web", ofService, map[string]any{"addresses": []any{"198.18.200.1/32"}, "autoAssign": false})
	apply(poolsResource, "IPAddressPool", w.namespace+".gone", map[string]string{"cloud-provider": "equinix-metal", "service-gone": "namespace-x"},
		map[string]any{"addresses": []any{own + "/32"}, "autoAssign": false})
	apply(poolsResource, "IPAddressPool", "users", provider, map[string]any{"addresses": []any{"192.0.2.0/24"}})
	apply(peersResource, "BGPPeer", w.nodeName(0)+"-0", provider, map[string]any{
		"myASN": int64(65000), "peerASN": int64(65530), "peerAddress": "169.254.255.1", "password": "inline0password",
		"nodeSelectors": []any{map[string]any{"matchLabels": map[string]any{"nomatch.metal.equinix.com/service-name": "web"}}},
	})
	apply(peersResource, "BGPPeer", "left-node-0", provider, map[string]any{"myASN": int64(65000), "peerAddress": "169.254.255.1"})
	apply(peersResource, "BGPPeer", "users", nil, map[string]any{"myASN": int64(64512), "peerAddress": "192.0.2.1"})

	w.restart()
	w.service("web", withAddress("198.18.200.1"))
	w.address("web")
	if pools := keys(w.metalLB(poolsResource)); !slices.Equal(pools, []string{w.namespace + ".web", "users"}) {
		t.Errorf("pools are %v", pools)
	}
	peers := w.metalLB(peersResource)
	if names := keys(peers); !slices.Equal(names, []string{w.nodeName(0) + "-0", w.nodeName(0) + "-1", "users"}) {
		t.Errorf("peers are %v", names)
	}
	peer := peers[w.nodeName(0)+"-0"]
	if spec(peer, "password") != "" || spec(peer, "passwordSecret", "name") == "" || strings.Contains(spec(peer, "nodeSelectors"), "nomatch") {
		t.Errorf("the peer is %v", peer.Object["spec"])
	}
}

// A user's advertisement with the provider's label is used instead of ours.
func TestAnAdvertisementOfTheUsers(t *testing.T) {
	w := newMetalLBWorld(t, FormatResources, 1)
	object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"communities": []any{"65535:65281"}}}}
	object.SetGroupVersionKind(advertisementsResource.GroupVersion().WithKind("BGPAdvertisement"))
	object.SetName("custom")
	object.SetLabels(map[string]string{"cloud-provider": "equinix-metal"})
	if _, err := w.dynamic.Resource(advertisementsResource).Namespace(w.namespace).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.service("web")
	w.address("web")
	w.remove("web")
	if names := keys(w.metalLB(advertisementsResource)); !slices.Equal(names, []string{"custom"}) {
		t.Errorf("advertisements are %v", names)
	}
}

// In the ConfigMap, what the user wrote stays, and what the original left goes.
func TestMetalLBConfigMap(t *testing.T) {
	w := newMetalLBWorld(t, FormatConfigMap, 1)
	const users = `
peers:
- {my-asn: 64512, peer-asn: 64512, peer-address: 192.0.2.1}
- my-asn: 65000
  peer-asn: 65530
  peer-address: 169.254.255.1
  node-selectors:
  - match-labels: {kubernetes.io/hostname: left}
  - match-labels: {nomatch.metal.equinix.com/service-name: web}
address-pools:
- {name: users, protocol: layer2, addresses: [192.0.2.0/24]}
- {name: kube-system/left, protocol: bgp, auto-assign: false, addresses: [198.18.3.3/32]}
bfd-profiles:
- {name: fast, receive-interval: 35}
`
	if _, err := w.kube.CoreV1().ConfigMaps(w.namespace).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "config"}, Data: map[string]string{"config": users, "other": "x"},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	read := func() (pools, peers []string, profiles int) {
		t.Helper()
		var config struct {
			Peers []struct {
				MyASN    uint32 `json:"my-asn"`
				Address  string `json:"peer-address"`
				Source   string `json:"source-address"`
				Password string `json:"password"`
			} `json:"peers"`
			Pools []struct {
				Addresses  []string `json:"addresses"`
				Protocol   string   `json:"protocol"`
				AutoAssign *bool    `json:"auto-assign"`
			} `json:"address-pools"`
			Profiles []any `json:"bfd-profiles"`
		}
		if err := yaml.Unmarshal([]byte(w.configMapText()), &config); err != nil {
			t.Fatal(err)
		}
		for _, pool := range config.Pools {
			pools = append(pools, fmt.Sprint(pool.Addresses, pool.Protocol))
		}
		for _, peer := range config.Peers {
			peers = append(peers, fmt.Sprint(peer.MyASN, peer.Address, peer.Source, peer.Password))
		}
		slices.Sort(pools)
		slices.Sort(peers)
		return pools, peers, len(config.Profiles)
	}
	w.service("web")
	address := w.address("web")
	pools, peers, profiles := read()
	if !slices.Equal(pools, []string{"[192.0.2.0/24]layer2", "[" + address + "/32]bgp"}) || profiles != 1 {
		t.Errorf("pools are %v, and %d profiles", pools, profiles)
	}
	if !slices.Equal(peers, []string{"64512192.0.2.1", "65000169.254.255.110.0.0.1" + testPassword, "65000169.254.255.210.0.0.1" + testPassword}) {
		t.Errorf("peers are %v", peers)
	}
	w.remove("web")
	if pools, peers, _ = read(); len(pools) != 1 || len(peers) != 1 {
		t.Errorf("left are %v and %v", pools, peers)
	}
}

// A pool of the user's that has a Service's address is enough: MetalLB refuses
// its whole configuration if pools overlap.
func TestAPoolOfTheUsersIsNotOverlapped(t *testing.T) {
	for _, format := range []Format{FormatResources, FormatConfigMap} {
		t.Run(string(format), func(t *testing.T) {
			w := newMetalLBWorld(t, format, 1)
			if format == FormatConfigMap {
				if _, err := w.kube.CoreV1().ConfigMaps(w.namespace).Create(t.Context(), &corev1.ConfigMap{
					ObjectMeta: metav1.ObjectMeta{Name: "config"}, Data: map[string]string{"config": "address-pools:\n- {name: users, protocol: bgp, addresses: [203.0.113.5-203.0.113.20, 192.0.2.0/24]}\n"},
				}, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			} else {
				object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"addresses": []any{"203.0.113.5-203.0.113.20", "192.0.2.0/24"}}}}
				object.SetGroupVersionKind(poolsResource.GroupVersion().WithKind("IPAddressPool"))
				object.SetName("users")
				if _, err := w.dynamic.Resource(poolsResource).Namespace(w.namespace).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			for i, address := range []string{"203.0.113.4", "203.0.113.5", "203.0.113.20", "203.0.113.21", "192.0.2.255"} {
				name := fmt.Sprint("web-", i)
				w.service(name, withAddress(address), withPort(int32(80+i)))
				w.address(name)
			}
			var got string
			if format == FormatConfigMap {
				got = w.configMapText()
			} else {
				got = strings.Join(w.pooled(), "\n")
			}
			if strings.Count(got, "/32") != 2 || !strings.Contains(got, "203.0.113.4/32") || !strings.Contains(got, "203.0.113.21/32") {
				t.Errorf("pools are\n%s", got)
			}
		})
	}
}

// An address that MetalLB refuses is a problem of its Service alone.
func TestAPoolThatIsRefusedStopsNoOtherService(t *testing.T) {
	w := newMetalLBWorld(t, FormatResources, 1)
	w.wrap = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "packet-203-0-113-9") {
				return nil, errors.New("refused by the webhook")
			}
			return next.RoundTrip(r)
		})
	}
	w.restart()
	w.service("bad", withAddress("203.0.113.9"))
	w.service("good", withPort(81))
	if err := w.sync("bad"); err == nil || !strings.Contains(err.Error(), "203.0.113.9") || !strings.Contains(err.Error(), "refused by the webhook") {
		t.Errorf("the refused Service: %v", err)
	}
	if w.address("good") == "" || len(w.pooled()) != 1 {
		t.Errorf("pools are %v", w.pooled())
	}
}

// Where MetalLB is not installed, a Service gets an error that says so, and can
// be deleted nevertheless.
func TestMetalLBThatIsNotInstalled(t *testing.T) {
	w := newMetalLBWorld(t, FormatAutomatic, 1)
	hidden := true
	w.wrap = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if hidden && r.URL.Path == "/apis" {
				return nil, &url.Error{Op: "Get", URL: r.URL.Path, Err: errors.New("cut off")}
			}
			return next.RoundTrip(r)
		})
	}
	w.restart()
	w.service("web")
	if err := w.sync("web"); err == nil || !strings.Contains(err.Error(), "finding out how MetalLB") {
		t.Errorf("got %v", err)
	}
	hidden = false
	w.announcer = metallb.New(metallb.Config{
		Dynamic: w.dynamic, Kubernetes: withoutGroups{w.kube}, Namespace: w.namespace, ConfigMap: "config", FieldManager: fieldManager, Clock: w.config.Clock,
	})
	if err := w.sync("web"); !errors.Is(err, metallb.ErrNotInstalled) {
		t.Errorf("got %v", err)
	}
	w.remove("web")
	if left := w.elasticAddresses(); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

// withoutGroups is a cluster without custom resources.
type withoutGroups struct{ kubernetes.Interface }

func (w withoutGroups) Discovery() discovery.DiscoveryInterface {
	return noGroups{w.Interface.Discovery()}
}

type noGroups struct{ discovery.DiscoveryInterface }

func (noGroups) ServerGroups() (*metav1.APIGroupList, error) { return &metav1.APIGroupList{}, nil }

// What was decided about one Service must not be undone by the next because
// the cache does not show it yet.
func TestACacheThatLagsBehindUndoesNothing(t *testing.T) {
	w := newMetalLBWorld(t, FormatResources, 1)
	names := []string{"a", "b", "c"}
	stale := map[string]*corev1.Service{}
	for i, name := range names {
		stale[name] = w.service(name, withPort(int32(80+i)))
	}
	// From here on the cache stays as it is.
	cached, err := w.services.List(labels.Everything())
	if err != nil {
		t.Fatal(err)
	}
	w.services = frozen(t, cached)
	var want []string
	for _, name := range names {
		status, err := w.EnsureLoadBalancer(t.Context(), "", stale[name], nil)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, "["+status.Ingress[0].IP+"/32]")
	}
	slices.Sort(want)
	if pools := w.pooled(); !slices.Equal(pools, want) {
		t.Errorf("pools are %v, want %v", pools, want)
	}
	gone := w.live("b")
	if err := w.EnsureLoadBalancerDeleted(t.Context(), "", gone); err != nil {
		t.Fatal(err)
	}
	if _, err := w.EnsureLoadBalancer(t.Context(), "", w.live("a"), nil); err != nil {
		t.Fatal(err)
	}
	if pools := w.pooled(); len(pools) != 2 {
		t.Errorf("with one of them gone, pools are %v", pools)
	}
}

// frozen is a cache that nothing changes any more.
func frozen(t *testing.T, services []*corev1.Service) corelisters.ServiceLister {
	t.Helper()
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for _, service := range services {
		if err := indexer.Add(service); err != nil {
			t.Fatal(err)
		}
	}
	return corelisters.NewServiceLister(indexer)
}
