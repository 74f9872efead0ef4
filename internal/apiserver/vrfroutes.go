package apiserver

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func staticRouteRoutes() []Route {
	return []Route{
		{http.MethodGet, "/vrfs/{id}/routes", "getVrfRoutes", (*API).listVRFRoutes, ofVRF},
		{http.MethodPost, "/vrfs/{id}/routes", "createVrfRoute", (*API).createVRFRoute, ofVRF},
		{http.MethodGet, "/routes/{id}", "findVrfRouteById", (*API).getVRFRoute, ofVRFRoute},
		{http.MethodPut, "/routes/{id}", "updateVrfRouteById", (*API).updateVRFRoute, ofVRFRoute},
		{http.MethodDelete, "/routes/{id}", "deleteVrfRouteById", (*API).deleteVRFRoute, ofVRFRoute},
		{http.MethodGet, "/routes/{id}/events", "findVrfRouteEvents", (*API).listVRFRouteEvents, ofVRFRoute},
	}
}

// keptRouteEvents is how many events of a route are kept.
const keptRouteEvents = 100

func vrfRoutesTable(s *store.Snapshot) *store.Table[store.VRFRoute] { return &s.VRFRoutes }

func ofVRFRoute(s *store.Snapshot, id string) (owner, bool) {
	return ownedBy(vrfRoutesTable, func(v *store.VRFRoute) owner { return owner{project: v.ProjectID} })(s, id)
}

func (a *API) listVRFRoutes(r *request) (response, error) {
	return answerAll(a, r, "routes", func(s *store.Snapshot) []*store.Row[store.VRFRoute] {
		return s.VRFRoutes.In(store.OfVRF(r.id()))
	}, plain(vrfRoute))
}

func (a *API) getVRFRoute(r *request) (response, error) {
	return answerRow(a, r, http.StatusOK, vrfRoutesTable, r.id(), plain(vrfRoute))
}

// createVRFRoute makes the default route of a VRF, the only static route that
// the service had.
func (a *API) createVRFRoute(r *request) (response, error) {
	var input packet.VRFRouteCreate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	var p problems
	everywhere := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if prefix, err := netip.ParsePrefix(input.Prefix); err != nil || prefix != everywhere {
		p.add("prefix %q is not %s, the only one that is supported", input.Prefix, everywhere)
	}
	nextHop, err := netip.ParseAddr(input.NextHop)
	if err != nil || !nextHop.Is4() {
		p.add("next_hop %q is not an IPv4 address, a.b.c.d", input.NextHop)
	}
	if err := p.err(); err != nil {
		return response{}, err
	}

	id, now := uuid.NewString(), a.clock.Now()
	err = a.store.Update(r.ctx, func(tx *store.Tx) error {
		vrf, ok := tx.VRFs.Get(r.id())
		if !ok {
			return errNotFound()
		}
		if len(tx.VRFRoutes.In(store.OfVRF(r.id()))) > 0 {
			return refuse(http.StatusUnprocessableEntity, "prefix %q has already been taken by another route of the VRF", input.Prefix)
		}
		gateway, err := gatewayToward(tx.Snapshot, r.id(), nextHop, input.NextHop)
		if err != nil {
			return err
		}
		// Writing the gateway keeps it from going at the same time.
		tx.MetalGateways.Update(tx, gateway, gateway.Value)
		route := &store.VRFRoute{
			ID:               id,
			ProjectID:        vrf.Value.ProjectID,
			VRFID:            vrf.Value.ID,
			Prefix:           everywhere,
			NextHop:          nextHop,
			MetalGatewayID:   gateway.Value.ID,
			VirtualNetworkID: gateway.Value.VirtualNetworkID,
			Tags:             input.Tags,
			CreatedAt:        now,
			UpdatedAt:        now,
		}
		note(route, now, packet.EventRouteCreated, "Route created")
		tx.VRFRoutes.Create(tx, route)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	answer, err := answerRow(a, r, http.StatusOK, vrfRoutesTable, id, plain(vrfRoute))
	answer.location = href("routes", id)
	return answer, err
}

// gatewayToward finds the gateway of a VRF behind which an address is.
func gatewayToward(s *store.Snapshot, vrfID string, address netip.Addr, text string) (*store.Row[store.MetalGateway], error) {
	for _, row := range s.MetalGateways.In(store.OfVRF(vrfID)) {
		if row.Value.Address.Masked().Contains(address) {
			return row, behindGateway(row.Value, address, text)
		}
	}
	return nil, refuse(http.StatusUnprocessableEntity, "next_hop %q is in the subnet of no metal gateway of the VRF", text)
}

// updateVRFRoute has a route set up anew. Where it leads cannot be changed.
func (a *API) updateVRFRoute(r *request) (response, error) {
	var input packet.VRFRouteUpdate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.VRFRoutes.Get(r.id())
		if !ok {
			return errNotFound()
		}
		route := *row.Value
		var p problems
		if input.Prefix != nil && *input.Prefix != route.Prefix.String() {
			p.add("prefix %q cannot be updated: it stays %s", *input.Prefix, route.Prefix)
		}
		if input.NextHop != nil && *input.NextHop != route.NextHop.String() {
			p.add("next_hop %q cannot be updated: it stays %s", *input.NextHop, route.NextHop)
		}
		if err := p.err(); err != nil {
			return err
		}
		set(&route.Tags, input.Tags)
		route.UpdatedAt = a.clock.Now()
		note(&route, route.UpdatedAt, packet.EventRouteRedeployed, "Route redeployed")
		tx.VRFRoutes.Update(tx, row, &route)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return answerRow(a, r, http.StatusAccepted, vrfRoutesTable, r.id(), plain(vrfRoute))
}

func (a *API) deleteVRFRoute(r *request) (answer response, err error) {
	err = a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.VRFRoutes.Get(r.id())
		if !ok {
			return errNotFound()
		}
		shown := vrfRoute(row.Value)
		shown.Status = packet.VRFRouteDeleting
		body, err := json.Marshal(shown)
		if err != nil {
			return err
		}
		body, err = r.selection().apply(a, tx.Snapshot, body)
		answer = response{status: http.StatusAccepted, body: body}
		tx.VRFRoutes.Delete(tx, row)
		return err
	})
	return answer, err
}

// routeEvent is an event as it is shown by itself.
type routeEvent struct {
	routeID string
	store.VRFRouteEvent
}

func findRouteEvent(s *store.Snapshot, id string) (*store.Row[routeEvent], bool) {
	for _, route := range s.VRFRoutes.In(store.WithEvent(id)) {
		for _, event := range route.Value.Events {
			if event.ID == id {
				return store.NewRow(&routeEvent{routeID: route.Value.ID, VRFRouteEvent: event}), true
			}
		}
	}
	return nil, false
}

func ofRouteEvent(s *store.Snapshot, id string) (owner, bool) {
	row, ok := findRouteEvent(s, id)
	if !ok {
		return owner{}, false
	}
	return ofVRFRoute(s, row.Value.routeID)
}

func (a *API) listVRFRouteEvents(r *request) (response, error) {
	return answerPage(a, r, "events", defaultPerPage, func(s *store.Snapshot) []*store.Row[routeEvent] {
		route, ok := s.VRFRoutes.Get(r.id())
		if !ok {
			return nil
		}
		var rows []*store.Row[routeEvent]
		for _, event := range slices.Backward(route.Value.Events) {
			rows = append(rows, store.NewRow(&routeEvent{routeID: route.Value.ID, VRFRouteEvent: event}))
		}
		return rows
	}, plain(vrfRouteEvent))
}

// note adds an event to a route.
func note(route *store.VRFRoute, now time.Time, kind, body string) {
	events := append(slices.Clone(route.Events), store.VRFRouteEvent{
		ID: uuid.NewString(), Type: kind, Body: body, CreatedAt: now,
	})
	route.Events = events[max(0, len(events)-keptRouteEvents):]
}

func vrfRouteEvent(v *routeEvent) *packet.Event {
	return &packet.Event{
		ID:            v.ID,
		Href:          href("events", v.ID),
		Type:          v.Type,
		Body:          v.Body,
		Interpolated:  v.Body,
		Relationships: []packet.Href{*reference("routes", v.routeID)},
		CreatedAt:     packet.NewTimestamp(v.CreatedAt),
	}
}

func vrfRoute(v *store.VRFRoute) *packet.VRFRoute {
	return &packet.VRFRoute{
		ID:             v.ID,
		Href:           href("routes", v.ID),
		Type:           "static",
		Status:         packet.VRFRouteActive,
		Prefix:         v.Prefix.String(),
		NextHop:        v.NextHop.String(),
		MetalGateway:   reference("metal-gateways", v.MetalGatewayID),
		VirtualNetwork: reference("virtual-networks", v.VirtualNetworkID),
		VRF:            reference("vrfs", v.VRFID),
		Tags:           orEmpty(v.Tags),
		CreatedAt:      packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:      packet.NewTimestamp(v.UpdatedAt),
	}
}
