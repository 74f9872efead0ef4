// Package bgp knows the switches' side of a device's BGP sessions.
package bgp

import (
	"net/netip"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/pkg/packet"
)

// MaxPrefix is how many routes a device may announce.
const MaxPrefix = 10

func switchAddresses(addressFamily string) []string {
	var addresses []string
	for _, each := range machines.BGPSwitches() {
		if addressFamily == packet.BGPIPv6 {
			addresses = append(addresses, each.IPv6.String())
		} else {
			addresses = append(addresses, each.IPv4.String())
		}
	}
	return addresses
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
			PeerAS:        machines.BGPSwitchASN,
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
	if address, ok := peerAddress(s, device, addressFamily); ok {
		return address.String()
	}
	return ""
}

func peerAddress(s *store.Snapshot, device *store.Device, addressFamily string) (netip.Addr, bool) {
	for _, row := range s.AddressesOf(device.ID) {
		v := row.Value
		if v.Management && v.Address.Is6() == (addressFamily == packet.BGPIPv6) && (v.Address.Is6() || !v.Public) {
			return v.Address, true
		}
	}
	return netip.Addr{}, false
}

// routesIn tells which blocks a device may announce.
func routesIn(s *store.Snapshot, device *store.Device, addressFamily string) []packet.BGPRoute {
	routes := []packet.BGPRoute{}
	for _, allowed := range allowed(s, device, addressFamily) {
		routes = append(routes, packet.BGPRoute{Route: allowed.Prefix.String(), Exact: allowed.Exact})
	}
	return routes
}

// allowed are the blocks that a device may announce: those of its project in
// its metro, global ones, and the project's own ranges. Of a block that has
// parts, the parts may be announced too.
func allowed(s *store.Snapshot, device *store.Device, addressFamily string) []machines.BGPPrefix {
	prefixes := []machines.BGPPrefix{}
	add := func(block netip.Prefix) {
		if block.IsValid() && block.Addr().Is6() == (addressFamily == packet.BGPIPv6) {
			prefixes = append(prefixes, machines.BGPPrefix{Prefix: block, Exact: block.IsSingleIP()})
		}
	}
	for _, row := range s.Reservations.In(store.InProject(device.ProjectID)) {
		v := row.Value
		own := v.Management && v.Type == packet.IPTypePublicIPv4
		// What is in a VRF is reached inside it alone.
		if !own && v.VRFID == "" && (v.Metro == device.Metro || v.Metro == "") {
			add(v.Block)
		}
	}
	for _, row := range s.BGPRanges.In(store.InProject(device.ProjectID)) {
		add(row.Value.Range)
	}
	return prefixes
}

// Peers are the machines' sides of all sessions, for the switches.
func Peers(s *store.Snapshot) []machines.BGPPeer {
	peers := []machines.BGPPeer{}
	for _, row := range s.BGPSessions.All() {
		session := row.Value
		device, found := s.Devices.Get(session.DeviceID)
		config, configured := s.BGPConfigs.Get(session.ProjectID)
		if !found || !configured {
			continue
		}
		address, ok := peerAddress(s, device.Value, session.AddressFamily)
		if !ok {
			continue
		}
		peers = append(peers, machines.BGPPeer{
			Session: session.ID,
			Address: address,
			// The API takes no number that does not fit.
			ASN:          uint32(config.Value.ASN), //nolint:gosec
			Password:     config.Value.MD5,
			DefaultRoute: session.DefaultRoute,
			MaxPrefixes:  MaxPrefix,
			Allowed:      allowed(s, device.Value, session.AddressFamily),
		})
	}
	return peers
}
