package metallb

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// peers are the desired peers, and the passwords that they need, in the order
// of the Secrets that have them.
func (c Config) peers(state State) (desired objects, passwords []string) {
	desired = objects{}
	for _, peer := range state.Peers {
		if peer.Password != "" && !slices.Contains(passwords, peer.Password) {
			passwords = append(passwords, peer.Password)
		}
	}
	slices.Sort(passwords)

	type group struct {
		Peer
		hostnames []any
	}
	groups := map[string]*group{}
	for _, peer := range state.Peers {
		name := fmt.Sprintf("%s-%d", peer.Node, peer.Number)
		if c.SharedPeers {
			peer.Source = netip.Addr{}
			name = nameOf("packet-", peer.Address) + "-" + short(fmt.Sprint(peer.MyASN, peer.PeerASN, peer.MultiHop, slices.Index(passwords, peer.Password)))
		}
		if len(name) > maxNameLength {
			name = name[:maxNameLength-9] + "-" + short(name)
		}
		if groups[name] == nil {
			groups[name] = &group{Peer: peer}
		}
		groups[name].hostnames = append(groups[name].hostnames, peer.Hostname)
	}
	for name, peer := range groups {
		selector := map[string]any{"matchLabels": map[string]any{corev1.LabelHostname: peer.Hostname}}
		if c.SharedPeers {
			slices.SortFunc(peer.hostnames, func(a, b any) int { return cmp.Compare(a.(string), b.(string)) })
			selector = map[string]any{"matchExpressions": []any{map[string]any{
				"key": corev1.LabelHostname, "operator": "In", "values": peer.hostnames,
			}}}
		}
		spec := map[string]any{
			"myASN":         int64(peer.MyASN),
			"peerASN":       int64(peer.PeerASN),
			"peerAddress":   peer.Address.String(),
			"peerPort":      int64(bgpPort),
			"nodeSelectors": []any{selector},
			"ebgpMultiHop":  peer.MultiHop,
		}
		if peer.Source.IsValid() {
			spec["sourceAddress"] = peer.Source.String()
		}
		if peer.Password != "" {
			spec["passwordSecret"] = map[string]any{"name": secretName(slices.Index(passwords, peer.Password)), "namespace": c.Namespace}
		}
		desired.add(c, peerKind, name, nil, spec)
	}
	return desired, passwords
}

// secretName is the name of the Secret of a password, of which there is more
// than one only while a project's password is being changed.
func secretName(index int) string {
	const name = "cloud-provider-packet-bgp"
	if index == 0 {
		return name
	}
	return name + "-" + strconv.Itoa(index)
}
