package apiserver

import (
	"encoding/json"
	"net/http"
	"net/netip"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func dynamicNeighborRoutes() []Route {
	const ofGateway, one = "/metal-gateways/{id}/bgp-dynamic-neighbors", "/bgp-dynamic-neighbors/{id}"
	return []Route{
		{http.MethodGet, ofGateway, "getBgpDynamicNeighbors", (*API).listDynamicNeighbors, ofMetalGateway},
		{http.MethodPost, ofGateway, "createBgpDynamicNeighbor", (*API).createDynamicNeighbor, ofMetalGateway},
		// The document has no name for this one.
		{http.MethodGet, one, "findBgpDynamicNeighborById", (*API).getDynamicNeighbor, ofDynamicNeighbor},
		{http.MethodDelete, one, "deleteBgpDynamicNeighborById", (*API).deleteDynamicNeighbor, ofDynamicNeighbor},
	}
}

// maxDynamicNeighbors is how many ranges a virtual network can have, as the
// document says.
const maxDynamicNeighbors = 2

func dynamicNeighbors(s *store.Snapshot) *store.Table[store.DynamicNeighbor] {
	return &s.DynamicNeighbors
}

func ofDynamicNeighbor(s *store.Snapshot, id string) (owner, bool) {
	return ownedBy(dynamicNeighbors, func(v *store.DynamicNeighbor) owner { return owner{project: v.ProjectID} })(s, id)
}

func (a *API) listDynamicNeighbors(r *request) (response, error) {
	return answerAll(a, r, "bgp_dynamic_neighbors", func(s *store.Snapshot) []*store.Row[store.DynamicNeighbor] {
		return s.DynamicNeighbors.In(store.OfMetalGateway(r.id()))
	}, encodeDynamicNeighbor)
}

func (a *API) getDynamicNeighbor(r *request) (response, error) {
	return answerRow(a, r, http.StatusOK, dynamicNeighbors, r.id(), encodeDynamicNeighbor)
}

func (a *API) createDynamicNeighbor(r *request) (response, error) {
	var input packet.BGPDynamicNeighborCreate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	var p problems
	peers, err := netip.ParsePrefix(input.Range)
	if err != nil || peers != peers.Masked() {
		p.add("bgp_neighbor_range %q is not a block of addresses, a.b.c.d/length", input.Range)
	}
	p.asn("bgp_neighbor_asn", input.ASN)
	if input.ASN == nil {
		p.add("bgp_neighbor_asn can't be blank")
	}
	if err := p.err(); err != nil {
		return response{}, err
	}

	id, now := uuid.NewString(), a.clock.Now()
	err = a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.MetalGateways.Get(r.id())
		if !ok {
			return errNotFound()
		}
		gateway := row.Value
		network, ok := tx.VirtualNetworks.Get(gateway.VirtualNetworkID)
		if !ok {
			return errNotFound()
		}
		if err := mayPeer(tx, gateway, peers); err != nil {
			return err
		}
		// Two ranges of one network must not be decided on at the same time, and
		// the gateway must not go.
		tx.VirtualNetworks.Update(tx, network, network.Value)
		tx.MetalGateways.Update(tx, row, gateway)
		tx.DynamicNeighbors.Create(tx, &store.DynamicNeighbor{
			ID:               id,
			ProjectID:        gateway.ProjectID,
			MetalGatewayID:   gateway.ID,
			VirtualNetworkID: gateway.VirtualNetworkID,
			Range:            peers,
			ASN:              *input.ASN,
			Tags:             input.Tags,
			CreatedBy:        r.token.UserID,
			CreatedAt:        now,
		})
		return nil
	})
	if err != nil {
		return response{}, err
	}
	answer, err := answerRow(a, r, http.StatusCreated, dynamicNeighbors, id, encodeDynamicNeighbor)
	answer.location = href("bgp-dynamic-neighbors", id)
	return answer, err
}

// mayPeer refuses a range that cannot be one of a gateway's.
func mayPeer(tx *store.Tx, gateway *store.MetalGateway, peers netip.Prefix) error {
	vrf, ok := tx.VRFs.Get(gateway.VRFID)
	if !ok {
		return refuse(http.StatusUnprocessableEntity, "Metal gateway %s is in no VRF, and only those of a VRF have BGP dynamic neighbors", gateway.ID)
	}
	if !vrf.Value.DynamicNeighbors {
		return refuse(http.StatusUnprocessableEntity, "VRF %s has bgp_dynamic_neighbors_enabled false, it must be true", vrf.Value.ID)
	}
	if subnet := gateway.Address.Masked(); !subnet.Contains(peers.Addr()) || peers.Bits() < subnet.Bits() {
		return refuse(http.StatusUnprocessableEntity, "bgp_neighbor_range %q is not inside the gateway's subnet, which is %s", peers, subnet)
	}
	tx.VRFs.Require(tx, vrf)
	others := tx.DynamicNeighbors.In(store.OfVirtualNetwork(gateway.VirtualNetworkID))
	for _, other := range others {
		if other.Value.Range.Overlaps(peers) {
			return refuse(http.StatusUnprocessableEntity, "bgp_neighbor_range %q overlaps %s, which the virtual network has already", peers, other.Value.Range)
		}
	}
	if len(others) >= maxDynamicNeighbors {
		return refuse(http.StatusUnprocessableEntity, "Virtual network %d has %d BGP dynamic neighbors, it can have %d at most",
			gateway.VXLAN, len(others), maxDynamicNeighbors)
	}
	return nil
}

func (a *API) deleteDynamicNeighbor(r *request) (answer response, err error) {
	err = a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.DynamicNeighbors.Get(r.id())
		if !ok {
			return errNotFound()
		}
		shown := dynamicNeighbor(tx.Snapshot, row.Value)
		shown.State = packet.MetalGatewayDeleting
		body, err := json.Marshal(shown)
		if err != nil {
			return err
		}
		body, err = r.selection().apply(a, tx.Snapshot, body)
		answer = response{status: http.StatusAccepted, body: body}
		tx.DynamicNeighbors.Delete(tx, row)
		return err
	})
	return answer, err
}

func encodeDynamicNeighbor(s *store.Snapshot, row *store.Row[store.DynamicNeighbor]) ([]byte, error) {
	return encodeRow(row, func(v *store.DynamicNeighbor) *packet.BGPDynamicNeighbor { return dynamicNeighbor(s, v) })
}

func dynamicNeighbor(s *store.Snapshot, v *store.DynamicNeighbor) *packet.BGPDynamicNeighbor {
	shown := &packet.BGPDynamicNeighbor{
		ID:           v.ID,
		Href:         href("bgp-dynamic-neighbors", v.ID),
		Range:        v.Range.String(),
		ASN:          v.ASN,
		State:        gatewayState(s, v.VirtualNetworkID),
		MetalGateway: reference("metal-gateways", v.MetalGatewayID),
		Tags:         orEmpty(v.Tags),
		CreatedAt:    packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:    packet.NewTimestamp(v.CreatedAt),
	}
	if row, ok := s.Users.Get(v.CreatedBy); ok {
		shown.CreatedBy = userLite(row.Value)
	}
	return shown
}

// maxASN is the highest number of 4 bytes.
const maxASN = 1<<32 - 1

// asn checks the number of an autonomous system, if there is one.
func (p *problems) asn(field string, number *int64) {
	if number != nil && (*number < 1 || *number > maxASN) {
		p.add("%s %d is not from 1 to %d", field, *number, maxASN)
	}
}
