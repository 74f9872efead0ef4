package apiserver

import (
	"net/http"
	"net/netip"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// updateVRF changes what a request names. What was reserved in a range that is
// no more among the ranges goes with it, as the document says.
func (a *API) updateVRF(r *request) (response, error) {
	var input packet.VRFUpdate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	var p problems
	if input.Name != nil && *input.Name == "" {
		p.add("name can't be blank")
	}
	p.asn("local_asn", input.LocalASN)
	var ranges []netip.Prefix
	if input.IPRanges != nil {
		ranges = p.ipRanges(*input.IPRanges)
	}
	if err := p.err(); err != nil {
		return response{}, err
	}

	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.VRFs.Get(r.id())
		if !ok {
			return errNotFound()
		}
		vrf := *row.Value
		set(&vrf.Name, input.Name)
		set(&vrf.Description, input.Description)
		set(&vrf.Tags, input.Tags)
		set(&vrf.DynamicNeighbors, input.BGPDynamicNeighborsEnabled)
		set(&vrf.DynamicNeighborsRouteMap, input.BGPDynamicNeighborsExportRouteMap)
		set(&vrf.DynamicNeighborsBFD, input.BGPDynamicNeighborsBFDEnabled)
		if input.LocalASN != nil && *input.LocalASN != vrf.LocalASN {
			if err := asnIsIdle(tx.Snapshot, vrf.ID); err != nil {
				return err
			}
			vrf.LocalASN = *input.LocalASN
		}
		if vrf.Name != row.Value.Name {
			if err := a.nameIsFree(tx, &vrf); err != nil {
				return err
			}
		}
		if input.IPRanges != nil {
			vrf.IPRanges = ranges
			if err := dropOutside(tx, &vrf); err != nil {
				return err
			}
		}
		vrf.UpdatedAt = a.clock.Now()
		tx.VRFs.Update(tx, row, &vrf)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return a.getVRF(r)
}

// asnIsIdle refuses to change the number of a VRF that machines are in.
func asnIsIdle(s *store.Snapshot, vrfID string) error {
	for _, gateway := range s.MetalGateways.In(store.OfVRF(vrfID)) {
		if gatewayState(s, gateway.Value.VirtualNetworkID) == packet.MetalGatewayActive {
			return refuse(http.StatusUnprocessableEntity,
				"local_asn cannot be updated while virtual network %d of a metal gateway of the VRF is assigned to a port", gateway.Value.VXLAN)
		}
	}
	return nil
}

// maxDropped bounds what is dropped in one transaction: a reservation can have
// a gateway with two neighbors and a route.
const maxDropped = 15

// dropOutside removes the reservations that are in none of a VRF's ranges, and
// their gateways.
func dropOutside(tx *store.Tx, vrf *store.VRF) error {
	dropped := 0
	for _, row := range tx.Reservations.In(store.OfVRF(vrf.ID)) {
		if rangeOf(vrf.IPRanges, row.Value.Block) {
			continue
		}
		if dropped++; dropped > maxDropped {
			return refuse(http.StatusUnprocessableEntity,
				"ip_ranges leaves out more than %d IP reservations, which would be deleted: delete some of them first", maxDropped)
		}
		if gateway := tx.GatewayOf(row.Value.ID); gateway != nil {
			removeGateway(tx, gateway)
		}
		tx.Reservations.Delete(tx, row)
	}
	return nil
}
