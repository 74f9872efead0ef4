package store

import (
	"net/netip"
	"time"
)

// MetalGateway routes between a virtual network and the rest of the world. It
// has the first address of a reservation, and that is its key: a reservation
// has one gateway at most.
type MetalGateway struct {
	ID               string `json:"id"`
	ProjectID        string `json:"projectID"`
	VirtualNetworkID string `json:"virtualNetworkID"`
	// VXLAN is the number of the virtual network.
	VXLAN         int    `json:"vxlan"`
	ReservationID string `json:"reservationID"`
	// Address is the gateway's, in the reservation.
	Address netip.Prefix `json:"address"`
	// OwnsReservation is true where the reservation was made for the gateway,
	// and goes with it.
	OwnsReservation bool `json:"ownsReservation,omitempty"`
	// VRFID is set where the reservation is one of a VRF.
	VRFID     string    `json:"vrfID,omitempty"`
	CreatedBy string    `json:"createdBy,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
}

// DynamicNeighbor is a range of addresses behind a gateway of a VRF from
// which BGP peers are taken.
type DynamicNeighbor struct {
	ID               string       `json:"id"`
	ProjectID        string       `json:"projectID"`
	MetalGatewayID   string       `json:"metalGatewayID"`
	VirtualNetworkID string       `json:"virtualNetworkID"`
	Range            netip.Prefix `json:"range"`
	ASN              int64        `json:"asn"`
	Tags             []string     `json:"tags,omitempty"`
	CreatedBy        string       `json:"createdBy,omitempty"`
	CreatedAt        time.Time    `json:"createdAt"`
}

// OfMetalGateway names the group of what a metal gateway has: elastic
// addresses, dynamic neighbors, routes.
func OfMetalGateway(id string) string { return "metal-gateway/" + id }

// GatewayOf finds the gateway that has a reservation, nil for none.
func (s *Snapshot) GatewayOf(reservationID string) *Row[MetalGateway] {
	row, _ := s.MetalGateways.at(reservationID)
	return row
}

// forgetKey drops the encoded form of the row of a key.
func (t *Table[T]) forgetKey(key string) {
	if row, ok := t.at(key); ok {
		t.forgetEncoding(row)
	}
}

func (s *Snapshot) registerMetalGateways() {
	register(s, &s.MetalGateways, "metal-gateways/", Table[MetalGateway]{
		key: func(v *MetalGateway) string { return v.ReservationID },
		id:  func(v *MetalGateway) string { return v.ID },
		groups: func(v *MetalGateway) []string {
			groups := []string{InProject(v.ProjectID), OfVirtualNetwork(v.VirtualNetworkID)}
			if v.VRFID != "" {
				groups = append(groups, OfVRF(v.VRFID))
			}
			return groups
		},
		changed: func(v *MetalGateway) {
			s.VirtualNetworks.forget(v.VirtualNetworkID)
			s.Reservations.forget(v.ReservationID)
		},
	})
	register(s, &s.DynamicNeighbors, "bgp-dynamic-neighbors/", Table[DynamicNeighbor]{
		id: func(v *DynamicNeighbor) string { return v.ID },
		groups: func(v *DynamicNeighbor) []string {
			return []string{OfMetalGateway(v.MetalGatewayID), OfVirtualNetwork(v.VirtualNetworkID)}
		},
	})
}
