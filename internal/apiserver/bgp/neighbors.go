// Package bgp knows the switches' side of a device's BGP sessions.
package bgp

import (
	"net/netip"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	// MaxPrefix is how many routes a device may announce.
	MaxPrefix = 10
	switchASN = 65530
)

func switchAddresses(addressFamily string) []string {
	if addressFamily == packet.BGPIPv6 {
		return []string{"fc00::e", "fc00::f"}
	}
	return []string{"169.254.255.1", "169.254.255.2"}
}

func defaultRoute(addressFamily string) packet.BGPRoute {
	if addressFamily == packet.BGPIPv6 {
		return packet.BGPRoute{Route: "::/0", Exact: true}
	}
	return packet.BGPRoute{Route: "0.0.0.0/0", Exact: true}
}

// Neighbors tells a device what to configure its BGP speaker with.
func Neighbors(s *store.Snapshot, device *store.Device) []packet.BGPNeighbor {
	neighbors := []packet.BGPNeighbor{}
	config, ok := s.BGPConfigs.Get(device.ProjectID)
	if !ok {
		return neighbors
	}
	for _, session := range s.BGPSessions.In(store.OfDevice(device.ID)) {
		neighbor := packet.BGPNeighbor{
			AddressFamily: 4,
			CustomerAS:    config.Value.ASN,
			CustomerIP:    customerIP(s, device, session.Value.AddressFamily),
			MD5Enabled:    config.Value.MD5 != "",
			MD5Password:   config.Value.MD5,
			Multihop:      true,
			PeerAS:        switchASN,
			PeerIPs:       switchAddresses(session.Value.AddressFamily),
			RoutesIn:      routesIn(s, device, session.Value.AddressFamily),
			RoutesOut:     []packet.BGPRoute{},
		}
		if session.Value.AddressFamily == packet.BGPIPv6 {
			neighbor.AddressFamily = 6
		}
		if session.Value.DefaultRoute {
			neighbor.RoutesOut = append(neighbor.RoutesOut, defaultRoute(session.Value.AddressFamily))
		}
		neighbors = append(neighbors, neighbor)
	}
	return neighbors
}

// CanSpeak tells whether a device has the address that sessions of a family
// come from.
func CanSpeak(s *store.Snapshot, device *store.Device, addressFamily string) bool {
	return customerIP(s, device, addressFamily) != ""
}

// customerIP is the address that a device's sessions come from: IPv4 ones
// from the private address, IPv6 ones from the only address there is.
func customerIP(s *store.Snapshot, device *store.Device, addressFamily string) string {
	for _, row := range s.AddressesOf(device.ID) {
		v := row.Value
		if v.Management && v.Address.Is6() == (addressFamily == packet.BGPIPv6) && (v.Address.Is6() || !v.Public) {
			return v.Address.String()
		}
	}
	return ""
}

// routesIn are the blocks that a device may announce: those of its project in
// its metro, global ones, and the project's own ranges. Of a block that has
// parts, the parts may be announced too.
func routesIn(s *store.Snapshot, device *store.Device, addressFamily string) []packet.BGPRoute {
	routes := []packet.BGPRoute{}
	add := func(block netip.Prefix) {
		if block.IsValid() && block.Addr().Is6() == (addressFamily == packet.BGPIPv6) {
			routes = append(routes, packet.BGPRoute{Route: block.String(), Exact: block.IsSingleIP()})
		}
	}
	for _, row := range s.Reservations.In(store.InProject(device.ProjectID)) {
		v := row.Value
		own := v.Management && v.Type == packet.IPTypePublicIPv4
		if !own && (v.Metro == device.Metro || v.Metro == "") {
			add(v.Block)
		}
	}
	for _, row := range s.BGPRanges.In(store.InProject(device.ProjectID)) {
		add(row.Value.Range)
	}
	return routes
}
