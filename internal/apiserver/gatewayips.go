package apiserver

import (
	"net/http"
	"net/netip"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func (a *API) listGatewayIPs(r *request) (response, error) {
	return answerAll(a, r, "ip_addresses", func(s *store.Snapshot) []*store.Row[store.Assignment] {
		return s.Assignments.In(store.OfMetalGateway(r.id()))
	}, a.encodeAssignment)
}

// createGatewayIP routes a part of one of the project's reservations to a
// machine behind a gateway.
func (a *API) createGatewayIP(r *request) (response, error) {
	var input packet.MetalGatewayElasticIPCreate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	block, err := parseBlock(input.Address)
	if err != nil {
		return response{}, err
	}
	var p problems
	nextHop, err := netip.ParseAddr(input.NextHop)
	if err != nil || !nextHop.Is4() {
		p.add("next_hop %q is not an IPv4 address, a.b.c.d", input.NextHop)
	}
	p.customData(input.CustomData)
	if err := p.err(); err != nil {
		return response{}, err
	}

	id := uuid.NewString()
	err = a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.MetalGateways.Get(r.id())
		if !ok {
			return errNotFound()
		}
		gateway := row.Value
		if err := behindGateway(gateway, nextHop, input.NextHop); err != nil {
			return err
		}
		reservation := assignableBlock(tx.Snapshot, gateway.ProjectID, block)
		if reservation == nil || reservation.Value.Type != packet.IPTypePublicIPv4 {
			return refuse(http.StatusUnprocessableEntity, "address %q is in no IP reservation of type public_ipv4 of the gateway's project", input.Address)
		}
		if err := gatewayMayHave(tx, gateway, reservation, block); err != nil {
			return err
		}
		// Neither the reservation may go meanwhile, nor the gateway.
		tx.Reservations.Require(tx, reservation)
		tx.MetalGateways.Update(tx, row, gateway)
		host, _ := addresses.Host(block)
		tx.Assignments.Create(tx, &store.Assignment{
			ID:             id,
			MetalGatewayID: gateway.ID,
			NextHop:        nextHop,
			ReservationID:  reservation.Value.ID,
			Block:          block,
			Address:        host,
			Gateway:        gateway.Address.Addr(),
			Public:         true,
			Metro:          reservation.Value.Metro,
			Tags:           input.Tags,
			CustomData:     objectOnly(input.CustomData),
			CreatedAt:      a.clock.Now(),
		})
		return nil
	})
	if err != nil {
		return response{}, err
	}
	answer, err := a.answerIP(r, http.StatusCreated, id)
	answer.location = href("ips", id)
	return answer, err
}

// behindGateway refuses a next hop that no machine behind the gateway has.
func behindGateway(gateway *store.MetalGateway, address netip.Addr, text string) error {
	subnet := gateway.Address.Masked()
	last := addresses.Last(subnet)
	if subnet.Contains(address) && address != subnet.Addr() && address != last && address != gateway.Address.Addr() {
		return nil
	}
	return refuse(http.StatusUnprocessableEntity, "next_hop %q is not the address of a machine in the gateway's subnet: it is from %s to %s",
		text, gateway.Address.Addr().Next(), last.Prev())
}

// gatewayMayHave refuses a block that cannot be routed to a gateway, and makes
// the transaction depend on nobody getting it at the same time.
func gatewayMayHave(tx *store.Tx, gateway *store.MetalGateway, reservation *store.Row[store.Reservation], block netip.Prefix) error {
	network, ok := tx.VirtualNetworks.Get(gateway.VirtualNetworkID)
	if !ok {
		return errNotFound()
	}
	if gateway.VRFID != "" {
		return refuse(http.StatusUnprocessableEntity, "Metal gateway %s is one of a VRF, and these have no elastic IPs", gateway.ID)
	}
	if metro := reservation.Value.Metro; metro != network.Value.Metro {
		return refuse(http.StatusUnprocessableEntity, "address %q is reserved in metro %q, and the gateway is in %q", block, metro, network.Value.Metro)
	}
	if tx.GatewayOf(reservation.Value.ID) != nil {
		return refuse(http.StatusUnprocessableEntity, "address %q is in IP Reservation %s, which is the subnet of a metal gateway",
			block, reservation.Value.Block)
	}
	for _, assigned := range tx.Assignments.In(store.OfReservation(reservation.Value.ID)) {
		if assigned.Value.Block.Overlaps(block) {
			return refuse(http.StatusUnprocessableEntity, "Address has already been taken: %q is already assigned as part of %s", block, assigned.Value.Block)
		}
	}
	tx.RequireFreeAddress(block, reservation.Value.Block.Bits())
	return nil
}
