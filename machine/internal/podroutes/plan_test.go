package podroutes

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// node makes a Node. addresses are InternalIPs, or ExternalIPs with a "+" in front.
func node(name, podCIDRs string, addresses ...string) *v1.Node {
	n := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if podCIDRs != "" {
		n.Spec.PodCIDRs = strings.Split(podCIDRs, ",")
		n.Spec.PodCIDR = n.Spec.PodCIDRs[0]
	}
	for _, a := range addresses {
		kind := v1.NodeInternalIP
		if text, external := strings.CutPrefix(a, "+"); external {
			kind, a = v1.NodeExternalIP, text
		}
		n.Status.Addresses = append(n.Status.Addresses, v1.NodeAddress{Type: kind, Address: a})
	}
	return n
}

// created gives a Node an age.
func created(n *v1.Node, minute int) *v1.Node {
	n.CreationTimestamp = metav1.NewTime(time.Date(2020, 1, 1, 0, minute, 0, 0, time.UTC))
	return n
}

func TestPlan(t *testing.T) {
	self := node("a", "10.244.0.0/24", "+203.0.113.1", "10.0.0.1")
	good := node("b", "10.244.1.0/24", "+203.0.113.2", "10.0.0.3")
	// what is reached: the node, its address and its range.
	const toGood = "b 10.0.0.3 10.244.1.0/24"
	for name, test := range map[string]struct {
		nodes []*v1.Node
		// unknown is set where nothing is to be changed.
		unknown bool
		want    map[family][]string
		// remarks are parts of the remarks, each about one node.
		remarks map[string]string
	}{
		"alone":                {nodes: []*v1.Node{self}},
		"two nodes":            {nodes: []*v1.Node{self, good}, want: map[family][]string{ipv4: {toGood}}},
		"not registered":       {nodes: []*v1.Node{good}, unknown: true, remarks: map[string]string{"a": "does not exist yet"}},
		"external address":     {nodes: []*v1.Node{self, node("b", "10.244.1.0/24", "+203.0.113.2")}, want: map[family][]string{ipv4: {"b 203.0.113.2 10.244.1.0/24"}}},
		"podCIDR without list": {nodes: []*v1.Node{self, {ObjectMeta: metav1.ObjectMeta{Name: "b"}, Spec: v1.NodeSpec{PodCIDR: "10.244.1.0/24"}, Status: good.Status}}, want: map[family][]string{ipv4: {toGood}}},
		"both families": {
			nodes: []*v1.Node{
				node("a", "10.244.0.0/24,fd00:244::/64", "10.0.0.1", "2001:db8::1"),
				node("b", "10.244.1.0/24,fd00:244:0:1::/64", "2001:db8::3", "10.0.0.3"),
			},
			want: map[family][]string{ipv4: {toGood}, ipv6: {"b 2001:db8::3 fd00:244:0:1::/64"}},
		},
		"a family without addresses": {
			nodes:   []*v1.Node{node("a", "10.244.0.0/24,fd00:244::/64", "10.0.0.1"), node("b", "10.244.1.0/24,fd00:244:0:1::/64", "10.0.0.3")},
			want:    map[family][]string{ipv4: {toGood}},
			remarks: map[string]string{"b": "no InternalIP or ExternalIP of IPv6"},
		},
		"own address missing":   {nodes: []*v1.Node{node("a", "10.244.0.0/24"), good}, remarks: map[string]string{"a": "no IPv4 InternalIP or ExternalIP"}},
		"own range missing":     {nodes: []*v1.Node{node("a", "", "10.0.0.1"), good}, remarks: map[string]string{"a": "no IPv4 range"}},
		"range missing":         {nodes: []*v1.Node{self, good, node("c", "", "10.0.0.5")}, want: map[family][]string{ipv4: {toGood}}, remarks: map[string]string{"c": "no spec.podCIDRs yet"}},
		"address missing":       {nodes: []*v1.Node{self, good, node("c", "10.244.2.0/24")}, want: map[family][]string{ipv4: {toGood}}, remarks: map[string]string{"c": "no InternalIP"}},
		"range like ours":       {nodes: []*v1.Node{self, good, node("c", "10.244.0.0/24", "10.0.0.5")}, want: map[family][]string{ipv4: {toGood}}, remarks: map[string]string{"c": "overlaps with this machine's 10.244.0.0/24"}},
		"range of everything":   {nodes: []*v1.Node{self, good, node("c", "0.0.0.0/0", "10.0.0.5")}, want: map[family][]string{ipv4: {toGood}}, remarks: map[string]string{"c": "overlaps with this machine's"}},
		"address like ours":     {nodes: []*v1.Node{self, good, node("old", "10.244.9.0/24", "10.0.0.1")}, want: map[family][]string{ipv4: {toGood}}, remarks: map[string]string{"old": "this machine's own"}},
		"range with nodes":      {nodes: []*v1.Node{self, good, node("c", "10.0.0.0/24", "10.0.0.5")}, want: map[family][]string{ipv4: {toGood}}, remarks: map[string]string{"c": "contains the address of a node"}},
		"range that is none":    {nodes: []*v1.Node{self, good, node("c", "10.244.2.0", "10.0.0.5")}, want: map[family][]string{ipv4: {toGood}}, remarks: map[string]string{"c": `spec.podCIDRs[0] "10.244.2.0" is no range`}},
		"two of one family":     {nodes: []*v1.Node{self, node("b", "10.244.1.0/24,10.244.2.0/24", "10.0.0.3")}, want: map[family][]string{ipv4: {toGood}}, remarks: map[string]string{"b": "second range"}},
		"range like an older's": {nodes: []*v1.Node{created(node("aa", "10.244.1.0/25", "10.0.0.5"), 2), self, created(node("b", "10.244.1.0/24", "10.0.0.3"), 1)}, want: map[family][]string{ipv4: {toGood}}, remarks: map[string]string{"aa": "older Node b"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := planFor(test.nodes, "a")
			if unknown := len(p.overlays) == 0; unknown != test.unknown {
				t.Errorf("nothing shall be changed: %v, want %v", unknown, test.unknown)
			}
			for _, o := range p.overlays {
				var got []string
				for _, peer := range o.peers {
					got = append(got, peer.node+" "+peer.address.String()+" "+peer.podCIDR.String())
				}
				if want := test.want[o.family]; !slices.Equal(got, want) {
					t.Errorf("%s: peers %q, want %q", o.family, got, want)
				}
			}
			if len(p.remarks) != len(test.remarks) {
				t.Errorf("remarks %v, want %v", p.remarks, test.remarks)
			}
			for _, r := range p.remarks {
				if want := test.remarks[r.node]; want == "" || !strings.Contains(r.text, want) {
					t.Errorf("remark on %s: %q, want %q", r.node, r.text, want)
				}
			}
		})
	}
}

func TestCompareFindsOnlyDifferences(t *testing.T) {
	at := func(peers ...peer) entries {
		return (&overlay{family: ipv4, local: netip.MustParseAddr("10.0.0.1"), podCIDR: netip.MustParsePrefix("10.244.0.0/24"), peers: peers}).entries()
	}
	b := peer{node: "b", address: netip.MustParseAddr("10.0.0.3"), podCIDR: netip.MustParsePrefix("10.244.1.0/24")}
	moved := b
	moved.address = netip.MustParseAddr("10.0.0.5")
	c := peer{node: "c", address: netip.MustParseAddr("10.0.0.7"), podCIDR: netip.MustParsePrefix("10.244.2.0/24")}

	if d := compare(at(b, c), at(b, c)); d.any() {
		t.Errorf("nothing has changed, but %v", d)
	}
	d := compare(at(b), at(b, c))
	if d.remove.any() || len(d.add.addresses) != 0 || !reflect.DeepEqual(d.add.routes, at(c).routes) || !reflect.DeepEqual(d.add.forwards, at(c).forwards) || !reflect.DeepEqual(d.add.neighbours, at(c).neighbours) {
		t.Errorf("with another node: %v", d)
	}
	if back := compare(at(b, c), at(b)); !reflect.DeepEqual(back.remove, d.add) || back.add.any() {
		t.Errorf("with a node less: %v", back)
	}
	d = compare(at(b), at(moved))
	if len(d.add.routes)+len(d.remove.routes) != 0 || len(d.add.neighbours) != 1 || len(d.remove.neighbours) != 1 || len(d.add.forwards) != 1 || len(d.remove.forwards) != 1 {
		t.Errorf("with a node at another address: %v", d)
	}
}

func TestHardwareAddressesAreLocalAndUnicast(t *testing.T) {
	seen := map[hardware]netip.Addr{}
	for address := netip.MustParseAddr("10.0.0.0"); address != netip.MustParseAddr("10.0.4.0"); address = address.Next() {
		h := hardwareOf(address)
		if h[0]&3 != 2 {
			t.Errorf("%s of %s is not a locally administered unicast address", h, address)
		}
		if other, taken := seen[h]; taken {
			t.Errorf("%s and %s have the same hardware address %s", address, other, h)
		}
		seen[h] = address
	}
}
