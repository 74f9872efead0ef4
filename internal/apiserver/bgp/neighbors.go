// Package bgp knows the switches' side of a device's BGP sessions.
package bgp

import (
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
			MD5Enabled:    config.Value.MD5 != "",
			MD5Password:   config.Value.MD5,
			Multihop:      true,
			PeerAS:        switchASN,
			PeerIPs:       switchAddresses(session.Value.AddressFamily),
			RoutesIn:      []packet.BGPRoute{},
			RoutesOut:     []packet.BGPRoute{},
		}
		if session.Value.AddressFamily == packet.BGPIPv6 {
			neighbor.AddressFamily = 6
		}
		// IPv4 sessions come from the private address, IPv6 ones from the only
		// address there is.
		for _, row := range s.Assignments.In(store.OfDevice(device.ID)) {
			if !row.Value.Management || row.Value.Address.Is6() != (neighbor.AddressFamily == 6) {
				continue
			}
			if neighbor.AddressFamily == 6 || !row.Value.Public {
				neighbor.CustomerIP = row.Value.Address.String()
			}
		}
		neighbors = append(neighbors, neighbor)
	}
	return neighbors
}
