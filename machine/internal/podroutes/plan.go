package podroutes

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// family is an IP family. Each has a network between nodes of its own: the
// family of a packet's pods is the family of the datagram that carries it, so
// that both ends agree on it without asking.
type family string

const (
	ipv4 family = "IPv4"
	ipv6 family = "IPv6"
)

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return ipv4
	}
	return ipv6
}

// plan is what the cluster's Nodes mean for one of them.
type plan struct {
	// overlays has one element per family, or is empty while too little is known
	// to change anything.
	overlays []overlay
	// remarks tell of Nodes whose pods are left out.
	remarks []remark
}

// remark is something that an administrator should know.
type remark struct {
	level slog.Level
	// node is the name of the Node that it is about, or empty.
	node, text string
}

// overlay is a node's part in the network between the nodes, for one family.
type overlay struct {
	family family
	// local is the node's own address, which others send to.
	local netip.Addr
	// podCIDR is the range of the node's own pods.
	podCIDR netip.Prefix
	// peers are the other nodes. Without any there is no network, and neither
	// local nor podCIDR need be known.
	peers []peer
}

// peer is another node.
type peer struct {
	node    string
	address netip.Addr
	podCIDR netip.Prefix
}

// planFor works out the plan for the Node named self.
func planFor(nodes []*v1.Node, self string) plan {
	nodes = slices.Clone(nodes)
	// Where two nodes claim the same range, every node must prefer the same one.
	slices.SortFunc(nodes, func(a, b *v1.Node) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	var p plan
	own := slices.IndexFunc(nodes, func(n *v1.Node) bool { return n.Name == self })
	if own < 0 {
		// Its kubelet registers it, or registers it again.
		p.remark(slog.LevelInfo, self, "this machine's own Node does not exist yet: routes to the pods of other nodes stay as they are")
		return p
	}
	ranges := map[string]map[family]netip.Prefix{}
	for _, n := range nodes {
		ranges[n.Name] = p.podCIDRs(n)
		if n.Name != self && n.Spec.PodCIDR == "" && len(n.Spec.PodCIDRs) == 0 {
			// kube-controller-manager gives it one, if the cluster has a range for pods.
			p.remark(slog.LevelInfo, n.Name, "the Node has no spec.podCIDRs yet: its pods cannot be reached")
		}
	}
	for _, f := range []family{ipv4, ipv6} {
		p.overlays = append(p.overlays, p.overlay(f, nodes, nodes[own], ranges))
	}
	return p
}

func (p *plan) remark(level slog.Level, node, text string) {
	p.remarks = append(p.remarks, remark{level: level, node: node, text: text})
}

// podCIDRs reads the ranges of a Node's pods, of which each family has at most one.
func (p *plan) podCIDRs(n *v1.Node) map[family]netip.Prefix {
	given := n.Spec.PodCIDRs
	if len(given) == 0 && n.Spec.PodCIDR != "" {
		given = []string{n.Spec.PodCIDR}
	}
	ranges := map[family]netip.Prefix{}
	for i, text := range given {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Addr().Is4In6() {
			p.remark(slog.LevelWarn, n.Name, fmt.Sprintf("spec.podCIDRs[%d] %q is no range of addresses such as 10.244.1.0/24: it is left out", i, text))
			continue
		}
		f := familyOf(prefix.Addr())
		if _, known := ranges[f]; known {
			p.remark(slog.LevelWarn, n.Name, fmt.Sprintf("spec.podCIDRs[%d] %q is a second range of %s: it is left out", i, text, f))
			continue
		}
		ranges[f] = prefix.Masked()
	}
	return ranges
}

// overlay works out the plan for a family. A Node with which something is wrong
// is left out, and does not keep the others from being reached.
func (p *plan) overlay(f family, nodes []*v1.Node, own *v1.Node, ranges map[string]map[family]netip.Prefix) overlay {
	o := overlay{family: f, local: nodeAddress(own, f), podCIDR: ranges[own.Name][f]}
	var peers []peer
	endpoints := map[netip.Addr]bool{}
	for _, n := range nodes {
		prefix, ok := ranges[n.Name][f]
		if !ok || n.Name == own.Name {
			continue
		}
		address := nodeAddress(n, f)
		if !address.IsValid() {
			// With an external cloud provider a Node has none for its first moments.
			p.remark(slog.LevelInfo, n.Name, fmt.Sprintf("pods of this Node cannot be reached by %s: status.addresses has no InternalIP or ExternalIP of %s", f, f))
			continue
		}
		peers = append(peers, peer{node: n.Name, address: address, podCIDR: prefix})
		endpoints[address] = true
	}
	if len(peers) == 0 {
		return overlay{family: f}
	}
	missing := ""
	switch {
	case !o.podCIDR.IsValid():
		missing = "range in spec.podCIDRs"
	case !o.local.IsValid():
		missing = "InternalIP or ExternalIP in status.addresses"
	}
	if missing != "" {
		p.remark(slog.LevelInfo, own.Name, fmt.Sprintf("this machine's own Node has no %s %s: pods of other nodes cannot be reached by %s", f, missing, f))
		return overlay{family: f}
	}
	endpoints[o.local] = true
	for _, candidate := range peers {
		if wrong := o.refuses(candidate, endpoints); wrong != "" {
			p.remark(slog.LevelWarn, candidate.node, fmt.Sprintf("pods of this Node cannot be reached by %s: %s", f, wrong))
			continue
		}
		o.peers = append(o.peers, candidate)
	}
	if len(o.peers) == 0 {
		return overlay{family: f}
	}
	return o
}

// refuses tells what is wrong with a peer, if anything is. endpoints are the
// addresses of all nodes.
func (o *overlay) refuses(candidate peer, endpoints map[netip.Addr]bool) string {
	switch {
	case candidate.address == o.local:
		// A machine that was installed again under another name leaves a Node behind.
		return fmt.Sprintf("its address %s is this machine's own", candidate.address)
	case candidate.podCIDR.Overlaps(o.podCIDR):
		return fmt.Sprintf("its spec.podCIDRs %s overlaps with this machine's %s", candidate.podCIDR, o.podCIDR)
	}
	for _, other := range o.peers {
		if candidate.podCIDR.Overlaps(other.podCIDR) {
			return fmt.Sprintf("its spec.podCIDRs %s overlaps with %s of the older Node %s", candidate.podCIDR, other.podCIDR, other.node)
		}
	}
	for endpoint := range endpoints {
		if candidate.podCIDR.Contains(endpoint) {
			// What carries the packets would be sent into the tunnel itself.
			return fmt.Sprintf("its spec.podCIDRs %s contains the address of a node", candidate.podCIDR)
		}
	}
	return ""
}

// nodeAddress is where a node receives what is for its pods: its first
// InternalIP of the family, else its first ExternalIP, else the zero Addr.
func nodeAddress(n *v1.Node, f family) netip.Addr {
	for _, kind := range []v1.NodeAddressType{v1.NodeInternalIP, v1.NodeExternalIP} {
		for _, a := range n.Status.Addresses {
			if address, err := netip.ParseAddr(a.Address); err == nil && a.Type == kind && familyOf(address.Unmap()) == f {
				return address.Unmap()
			}
		}
	}
	return netip.Addr{}
}
