package bgp

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/packetyard/packetyard/internal/machines"
)

// accepts tells whether the switches take a prefix from a peer: one that it
// may announce, or a part of one unless that is to be announced as it is.
func accepts(peer machines.BGPPeer, prefix netip.Prefix) bool {
	return slices.ContainsFunc(peer.Allowed, func(allowed machines.BGPPrefix) bool {
		block := allowed.Prefix.Masked()
		if allowed.Exact {
			return block == prefix
		}
		return block.Bits() <= prefix.Bits() && block.Contains(prefix.Addr())
	})
}

// session is what one switch has with one peer.
type session struct {
	up bool
	// announced are the peer's prefixes, masked.
	announced []netip.Prefix
}

// sessions are those of one switch by the peer's address.
type sessions map[netip.Addr]session

// outcome is what follows from the sessions of all switches.
type outcome struct {
	// status has one for each peer, in the order of the peers.
	status []machines.BGPStatus
	// routes are the ways to each prefix that was taken: the addresses of the
	// peers that announce it, in order.
	routes map[netip.Prefix][]netip.Addr
	// ignored are the prefixes that were not taken, by the peer's address.
	ignored map[netip.Addr][]netip.Prefix
}

// evaluate works out what the peers' announcements mean.
func evaluate(peers []machines.BGPPeer, switches []sessions) outcome {
	result := outcome{
		status:  []machines.BGPStatus{},
		routes:  map[netip.Prefix][]netip.Addr{},
		ignored: map[netip.Addr][]netip.Prefix{},
	}
	for _, peer := range peers {
		status := machines.BGPStatus{Session: peer.Session, Learned: []netip.Prefix{}}
		learned, ignored := map[netip.Prefix]bool{}, map[netip.Prefix]bool{}
		for _, held := range switches {
			found := held[peer.Address]
			if !found.up {
				status.States = append(status.States, machines.BGPDown)
				continue
			}
			status.States = append(status.States, machines.BGPUp)
			for _, prefix := range found.announced {
				if accepts(peer, prefix) {
					learned[prefix] = true
				} else {
					ignored[prefix] = true
				}
			}
		}
		status.Learned = append(status.Learned, slices.SortedFunc(maps.Keys(learned), netip.Prefix.Compare)...)
		for prefix := range learned {
			result.routes[prefix] = append(result.routes[prefix], peer.Address)
		}
		if len(ignored) > 0 {
			result.ignored[peer.Address] = slices.SortedFunc(maps.Keys(ignored), netip.Prefix.Compare)
		}
		result.status = append(result.status, status)
	}
	for _, via := range result.routes {
		slices.SortFunc(via, netip.Addr.Compare)
	}
	return result
}
