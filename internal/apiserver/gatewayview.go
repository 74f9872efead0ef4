package apiserver

import (
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func (a *API) encodeMetalGateway(s *store.Snapshot, row *store.Row[store.MetalGateway]) ([]byte, error) {
	return encodeRow(row, func(v *store.MetalGateway) *shownGateway { return a.metalGateway(s, v) })
}

// shownGateway is a gateway with a reservation of either kind.
type shownGateway struct {
	packet.MetalGateway
	IPReservation any `json:"ip_reservation,omitempty"`
}

func (a *API) metalGateway(s *store.Snapshot, v *store.MetalGateway) *shownGateway {
	shown := &shownGateway{MetalGateway: packet.MetalGateway{
		ID:             v.ID,
		Href:           href("metal-gateways", v.ID),
		State:          gatewayState(s, v.VirtualNetworkID),
		Project:        &packet.Project{Href: href("projects", v.ProjectID)},
		VirtualNetwork: virtualNetworkReference(v.VirtualNetworkID),
		CreatedAt:      packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:      packet.NewTimestamp(v.CreatedAt),
	}}
	if v.CreatedBy != "" {
		shown.CreatedBy = reference("users", v.CreatedBy)
	}
	if v.VRFID != "" {
		shown.VRF = reference("vrfs", v.VRFID)
	}
	if row, ok := s.Reservations.Get(v.ReservationID); ok {
		shown.IPReservation = a.anyReservation(s, row.Value)
	}
	return shown
}

// gatewayState is active as soon as a port is on the gateway's network.
func gatewayState(s *store.Snapshot, virtualNetworkID string) string {
	if len(s.DevicePorts.In(store.OfVirtualNetwork(virtualNetworkID))) > 0 {
		return packet.MetalGatewayActive
	}
	return packet.MetalGatewayReady
}

// metalGatewayLite is a gateway as other objects mention it.
func metalGatewayLite(s *store.Snapshot, v *store.MetalGateway) *packet.MetalGatewayLite {
	return &packet.MetalGatewayLite{
		ID:             v.ID,
		Href:           href("metal-gateways", v.ID),
		GatewayAddress: v.Address.String(),
		State:          gatewayState(s, v.VirtualNetworkID),
		VLAN:           v.VXLAN,
		CreatedAt:      packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:      packet.NewTimestamp(v.CreatedAt),
	}
}

// gatewayOf is the gateway that a reservation mentions, nil for none.
func gatewayOf(s *store.Snapshot, reservationID string) *packet.MetalGatewayLite {
	row := s.GatewayOf(reservationID)
	if row == nil {
		return nil
	}
	return metalGatewayLite(s, row.Value)
}
