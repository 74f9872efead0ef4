package apiserver

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func metalGatewayRoutes() []Route {
	return slices.Concat([]Route{
		{http.MethodGet, "/projects/{project_id}/metal-gateways", "findMetalGatewaysByProject", (*API).listMetalGateways, ofProject},
		{http.MethodPost, "/projects/{project_id}/metal-gateways", "createMetalGateway", (*API).createMetalGateway, ofProject},
		{http.MethodGet, "/metal-gateways/{id}", "findMetalGatewayById", (*API).getMetalGateway, ofMetalGateway},
		{http.MethodDelete, "/metal-gateways/{id}", "deleteMetalGateway", (*API).deleteMetalGateway, ofMetalGateway},
		{http.MethodGet, "/metal-gateways/{id}/ips", "getMetalGatewayElasticIps", (*API).listGatewayIPs, ofMetalGateway},
		{http.MethodPost, "/metal-gateways/{id}/ips", "createMetalGatewayElasticIp", (*API).createGatewayIP, ofMetalGateway},
	}, dynamicNeighborRoutes())
}

func metalGateways(s *store.Snapshot) *store.Table[store.MetalGateway] { return &s.MetalGateways }

func ofMetalGateway(s *store.Snapshot, id string) (owner, bool) {
	return ownedBy(metalGateways, func(v *store.MetalGateway) owner { return owner{project: v.ProjectID} })(s, id)
}

func (a *API) listMetalGateways(r *request) (response, error) {
	return answerPage(a, r, "metal_gateways", defaultPerPage, func(s *store.Snapshot) []*store.Row[store.MetalGateway] {
		return s.MetalGateways.In(store.InProject(r.id()))
	}, a.encodeMetalGateway)
}

func (a *API) getMetalGateway(r *request) (response, error) {
	return answerRow(a, r, http.StatusOK, metalGateways, r.id(), a.encodeMetalGateway)
}

// gatewaySubnets are the sizes of the private subnets that a gateway can ask
// for, in addresses, with the length of their blocks.
var gatewaySubnets = map[int]int{8: 29, 16: 28, 32: 27, 64: 26, 128: 25}

func (a *API) createMetalGateway(r *request) (response, error) {
	var input packet.MetalGatewayCreate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	var p problems
	if input.VirtualNetworkID == "" {
		p.add("virtual_network_id can't be blank")
	}
	bits, known := gatewaySubnets[input.PrivateIPv4SubnetSize]
	switch {
	case input.IPReservationID == "" && input.PrivateIPv4SubnetSize == 0:
		p.add("ip_reservation_id can't be blank unless private_ipv4_subnet_size is one of: 8, 16, 32, 64, 128")
	case input.IPReservationID != "" && input.PrivateIPv4SubnetSize != 0:
		p.add("private_ipv4_subnet_size %d must be left out with ip_reservation_id, which has a size", input.PrivateIPv4SubnetSize)
	case input.IPReservationID == "" && !known:
		p.add("private_ipv4_subnet_size %d is not one of: 8, 16, 32, 64, 128", input.PrivateIPv4SubnetSize)
	}
	if err := p.err(); err != nil {
		return response{}, err
	}

	projectID, id, now := r.id(), uuid.NewString(), a.clock.Now()
	choice := a.allocator.Choose()
	defer choice.Release()
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		choice.Release()
		network, err := gatewayNetwork(tx, projectID, input.VirtualNetworkID)
		if err != nil {
			return err
		}
		gateway := &store.MetalGateway{
			ID:               id,
			ProjectID:        projectID,
			VirtualNetworkID: network.Value.ID,
			VXLAN:            network.Value.VXLAN,
			CreatedBy:        r.token.UserID,
			CreatedAt:        now,
		}
		var reservation *store.Reservation
		if input.IPReservationID != "" {
			reservation, err = takeReservation(tx, gateway, network.Value, input.IPReservationID)
		} else {
			reservation, err = privateSubnet(tx, choice, gateway, network.Value, bits)
		}
		if err != nil {
			return err
		}
		gateway.ReservationID, gateway.VRFID = reservation.ID, reservation.VRFID
		gateway.Address = netip.PrefixFrom(reservation.Block.Addr().Next(), reservation.Block.Bits())
		tx.MetalGateways.Create(tx, gateway)
		// Writing the network keeps it from going at the same time.
		tx.VirtualNetworks.Update(tx, network, network.Value)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	answer, err := answerRow(a, r, http.StatusCreated, metalGateways, id, a.encodeMetalGateway)
	answer.location = href("metal-gateways", id)
	return answer, err
}

// gatewayNetwork finds a virtual network that a gateway can be on.
func gatewayNetwork(tx *store.Tx, projectID, id string) (*store.Row[store.VirtualNetwork], error) {
	network, ok := tx.VirtualNetworks.Get(id)
	switch {
	case !ok || network.Value.ProjectID != projectID:
		return nil, refuse(http.StatusUnprocessableEntity, "virtual_network_id %q is no virtual network of the project", id)
	case network.Value.Facility != "":
		return nil, refuse(http.StatusUnprocessableEntity, "virtual_network_id %q is a virtual network in facility %q, it must be in a metro",
			id, network.Value.Facility)
	}
	return network, nil
}

// takeReservation makes a reservation the subnet of a new gateway. Nothing may
// be assigned out of it, and whoever wants to must try again.
func takeReservation(tx *store.Tx, gateway *store.MetalGateway, network *store.VirtualNetwork, id string) (*store.Reservation, error) {
	row, ok := tx.Reservations.Get(id)
	if !ok || row.Value.ProjectID != gateway.ProjectID {
		return nil, refuse(http.StatusUnprocessableEntity, "ip_reservation_id %q is no IP reservation of the project", id)
	}
	reservation := row.Value
	var p problems
	block := reservation.Block
	switch kind := reservation.Type; {
	case !block.IsValid():
		p.add("ip_reservation_id %q waits for approval, and has no addresses yet", id)
	case kind == packet.IPTypeVRF:
		p.vrfSubnet(tx.Snapshot, network, reservation)
	case kind != packet.IPTypePublicIPv4 || reservation.Management:
		p.add("ip_reservation_id %q is of type %q, it must be of type vrf, or one of type public_ipv4 that the project reserved itself", id, kind)
	case block.Bits() < 25 || block.Bits() > 29:
		p.add("ip_reservation_id %q is a /%d, it must be from a /25 to a /29", id, block.Bits())
	}
	if reservation.Metro != network.Metro {
		p.add("ip_reservation_id %q is in metro %q, and the virtual network is in %q", id, reservation.Metro, network.Metro)
	}
	if tx.GatewayOf(id) != nil {
		p.add("ip_reservation_id %q has a metal gateway already", id)
	}
	if len(tx.Assignments.In(store.OfReservation(id))) > 0 {
		p.add("ip_reservation_id %q has addresses that are assigned, which must first be unassigned", id)
	}
	// Assigning an address depends on the reservation being as it was, and this
	// on no address being assigned.
	tx.Reservations.Update(tx, row, reservation)
	if block.IsValid() && reservation.VRFID == "" {
		tx.RequireUnassigned(block)
	}
	return reservation, p.err()
}

// vrfSubnet checks the reservation of a gateway of a VRF.
func (p *problems) vrfSubnet(s *store.Snapshot, network *store.VirtualNetwork, reservation *store.Reservation) {
	for _, other := range s.MetalGateways.In(store.OfVirtualNetwork(network.ID)) {
		if other.Value.VRFID != reservation.VRFID {
			p.add("virtual_network_id %q has a metal gateway outside the VRF of ip_reservation_id %q", network.ID, reservation.ID)
			return
		}
		if other.Value.Address.Addr().Is6() && reservation.Block.Addr().Is6() {
			p.add("virtual_network_id %q has a metal gateway with IPv6 addresses already, of which it can have one", network.ID)
			return
		}
	}
}

// privateSubnet makes a reservation for a gateway, which goes with it.
func privateSubnet(
	tx *store.Tx, choice *addresses.Choice, gateway *store.MetalGateway, network *store.VirtualNetwork, bits int,
) (*store.Reservation, error) {
	block, err := choice.Reserve(addresses.ElasticPrivate(), bits, tx)
	if err != nil {
		return nil, noAddresses(err)
	}
	tx.RequireFreeBlock(block, addresses.ElasticPrivate().Coarsest)
	gateway.OwnsReservation = true
	reservation := &store.Reservation{
		ID:        uuid.NewString(),
		ProjectID: gateway.ProjectID,
		Block:     block,
		Type:      packet.IPTypePrivateIPv4,
		Metro:     network.Metro,
		CreatedBy: gateway.CreatedBy,
		CreatedAt: gateway.CreatedAt,
	}
	tx.Reservations.Create(tx, reservation)
	return reservation, nil
}

// deleteMetalGateway removes a gateway with all that goes through it. Elastic
// addresses are taken first where a transaction does not take all of them.
func (a *API) deleteMetalGateway(r *request) (answer response, err error) {
	for left := true; left; {
		err = a.store.Update(r.ctx, func(tx *store.Tx) error {
			row, ok := tx.MetalGateways.Get(r.id())
			if !ok {
				return errNotFound()
			}
			shown := a.metalGateway(tx.Snapshot, row.Value)
			shown.State = packet.MetalGatewayDeleting
			body, err := json.Marshal(shown)
			if err != nil {
				return err
			}
			if body, err = r.selection().apply(a, tx.Snapshot, body); err != nil {
				return err
			}
			answer = response{status: http.StatusAccepted, body: body}
			left = removeGateway(tx, row)
			return nil
		})
		if err != nil {
			return response{}, err
		}
	}
	return answer, nil
}

// removeGateway removes a gateway, or, where it has more elastic addresses
// than a transaction takes, some of these, and returns true.
func removeGateway(tx *store.Tx, row *store.Row[store.MetalGateway]) (left bool) {
	of := store.OfMetalGateway(row.Value.ID)
	for i, assignment := range tx.Assignments.In(of) {
		if i == elasticAtATime {
			return true
		}
		tx.Assignments.Delete(tx, assignment)
	}
	for _, route := range tx.VRFRoutes.In(of) {
		tx.VRFRoutes.Delete(tx, route)
	}
	for _, neighbor := range tx.DynamicNeighbors.In(of) {
		tx.DynamicNeighbors.Delete(tx, neighbor)
	}
	if reservation, ok := tx.Reservations.Get(row.Value.ReservationID); ok && row.Value.OwnsReservation {
		tx.Reservations.Delete(tx, reservation)
	}
	tx.MetalGateways.Delete(tx, row)
	return false
}
