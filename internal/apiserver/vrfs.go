package apiserver

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func vrfRoutes() []Route {
	return slices.Concat([]Route{
		{http.MethodGet, "/projects/{id}/vrfs", "findVrfs", (*API).listVRFs, ofProject},
		{http.MethodPost, "/projects/{id}/vrfs", "createVrf", (*API).createVRF, ofProject},
		{http.MethodGet, "/vrfs/{id}", "findVrfById", (*API).getVRF, ofVRF},
		{http.MethodPut, "/vrfs/{id}", "updateVrf", (*API).updateVRF, ofVRF},
		{http.MethodDelete, "/vrfs/{id}", "deleteVrf", (*API).deleteVRF, ofVRF},
		{http.MethodGet, "/vrfs/{id}/ips", "findVrfIpReservations", (*API).listVRFReservations, ofVRF},
		{http.MethodGet, "/vrfs/{vrf_id}/ips/{id}", "findVrfIpReservation", (*API).getVRFReservation, ofVRF},
		{http.MethodGet, "/vrfs/{id}/learned-routes", "getVrfLearnedRoutes", (*API).listLearnedRoutes, ofVRF},
		{http.MethodGet, "/vrfs/{id}/bgp-neighbors", "getVrfBGPNeighbors", (*API).listVRFNeighbors, ofVRF},
	}, staticRouteRoutes())
}

const (
	// maxVRFs is how many virtual routers a project can have.
	maxVRFs = 8
	// maxIPRanges bounds the ranges of one, all of which are compared with
	// each other.
	maxIPRanges = 64
	// defaultASN is for who names none: the first private one of 2 bytes that
	// is not in use for the service's own sessions.
	defaultASN = 65000
)

func vrfs(s *store.Snapshot) *store.Table[store.VRF] { return &s.VRFs }

func ofVRF(s *store.Snapshot, id string) (owner, bool) {
	return ownedBy(vrfs, func(v *store.VRF) owner { return owner{project: v.ProjectID} })(s, id)
}

func (a *API) listVRFs(r *request) (response, error) {
	metro := r.query.Get("metro")
	if found, ok := a.catalogue.Metro(metro); ok {
		metro = found.Code
	}
	return answerAll(a, r, "vrfs", func(s *store.Snapshot) []*store.Row[store.VRF] {
		return where(s.VRFs.In(store.InProject(r.id())), func(v *store.VRF) bool { return metro == "" || v.Metro == metro })
	}, a.encodeVRF)
}

func (a *API) getVRF(r *request) (response, error) {
	return answerRow(a, r, http.StatusOK, vrfs, r.id(), a.encodeVRF)
}

func (a *API) createVRF(r *request) (response, error) {
	var input packet.VRFCreate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	var p problems
	if input.Name == "" {
		p.add("name can't be blank")
	}
	metro, ok := a.catalogue.Metro(input.Metro)
	if !ok {
		p.notOneOf("metro", input.Metro, a.catalogue.MetroCodes())
	}
	p.asn("local_asn", input.LocalASN)
	ranges := p.ipRanges(input.IPRanges)
	if err := p.err(); err != nil {
		return response{}, err
	}
	now := a.clock.Now()
	vrf := &store.VRF{
		ID:                       uuid.NewString(),
		ProjectID:                r.id(),
		Metro:                    metro.Code,
		Name:                     input.Name,
		Description:              input.Description,
		LocalASN:                 defaultASN,
		IPRanges:                 ranges,
		DynamicNeighbors:         input.BGPDynamicNeighborsEnabled,
		DynamicNeighborsRouteMap: input.BGPDynamicNeighborsExportRouteMap,
		DynamicNeighborsBFD:      input.BGPDynamicNeighborsBFDEnabled,
		Tags:                     input.Tags,
		CreatedBy:                r.token.UserID,
		CreatedAt:                now,
		UpdatedAt:                now,
	}
	set(&vrf.LocalASN, input.LocalASN)

	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		existing := tx.VRFs.In(store.InProject(vrf.ProjectID))
		if len(existing) >= maxVRFs {
			return refuse(http.StatusUnprocessableEntity, "The project has %d VRFs, it can have %d at most", len(existing), maxVRFs)
		}
		if err := a.nameIsFree(tx, vrf); err != nil {
			return err
		}
		tx.VRFs.Create(tx, vrf)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	answer, err := answerRow(a, r, http.StatusCreated, vrfs, vrf.ID, a.encodeVRF)
	answer.location = href("vrfs", vrf.ID)
	return answer, err
}

// nameIsFree refuses the name of another VRF of the project, and makes the
// transaction depend on none getting it at the same time.
func (a *API) nameIsFree(tx *store.Tx, vrf *store.VRF) error {
	project, ok := tx.Projects.Get(vrf.ProjectID)
	if !ok {
		return errNotFound()
	}
	for _, other := range tx.VRFs.In(store.InProject(vrf.ProjectID)) {
		if other.Value.Name == vrf.Name && other.Value.ID != vrf.ID {
			return refuse(http.StatusUnprocessableEntity, "name %q has already been taken by another VRF of the project", vrf.Name)
		}
	}
	tx.Projects.Update(tx, project, project.Value)
	return nil
}

// rangeOf tells whether any of the ranges holds a block.
func rangeOf(ranges []netip.Prefix, block netip.Prefix) bool {
	return slices.ContainsFunc(ranges, func(r netip.Prefix) bool { return r.Contains(block.Addr()) && r.Bits() <= block.Bits() })
}

// ipRanges reads the ranges of a VRF.
func (p *problems) ipRanges(texts []string) []netip.Prefix {
	if len(texts) > maxIPRanges {
		p.add("ip_ranges has %d elements, it must have at most %d", len(texts), maxIPRanges)
		return nil
	}
	var ranges []netip.Prefix
	for i, text := range texts {
		block, err := netip.ParsePrefix(text)
		switch {
		case err != nil || block != block.Masked() || block.Addr().Is4In6():
			p.add("ip_ranges[%d] %q is not a block of addresses, a.b.c.d/length with no bit set after the length", i, text)
			continue
		case block.Addr().Is4() && (block.Bits() < 8 || block.Bits() > 29):
			p.add("ip_ranges[%d] %q must be from a /8 to a /29", i, text)
		case block.Addr().Is6() && (block.Bits() < 59 || block.Bits() > 64):
			p.add("ip_ranges[%d] %q must be from a /59 to a /64", i, text)
		}
		for _, other := range ranges {
			if other.Overlaps(block) {
				p.add("ip_ranges[%d] %q overlaps %s", i, text, other)
			}
		}
		ranges = append(ranges, block)
	}
	return ranges
}

// deleteVRF removes a VRF with its reservations. Its gateways must be gone.
func (a *API) deleteVRF(r *request) (response, error) {
	for left := true; left; {
		err := a.store.Update(r.ctx, func(tx *store.Tx) error {
			row, ok := tx.VRFs.Get(r.id())
			if !ok {
				return errNotFound()
			}
			if len(tx.MetalGateways.In(store.OfVRF(row.Value.ID))) > 0 {
				return refuse(http.StatusUnprocessableEntity, "Cannot delete VRF with associated metal gateway")
			}
			for i, reservation := range tx.Reservations.In(store.OfVRF(row.Value.ID)) {
				if left = i == elasticAtATime; left {
					return nil
				}
				tx.Reservations.Delete(tx, reservation)
			}
			left = false
			tx.VRFs.Delete(tx, row)
			return nil
		})
		if err != nil {
			return response{}, err
		}
	}
	return noContent()
}

// listLearnedRoutes and listVRFNeighbors have nothing to list: the machines of
// this server peer with no router of a VRF.
func (a *API) listLearnedRoutes(*request) (response, error) {
	return encode(http.StatusOK, map[string]any{"learned_routes": []any{}})
}

func (a *API) listVRFNeighbors(*request) (response, error) {
	return encode(http.StatusOK, map[string]any{"bgp_neighbors": []any{}})
}

func (a *API) encodeVRF(_ *store.Snapshot, row *store.Row[store.VRF]) ([]byte, error) {
	return encodeRow(row, a.vrf)
}

func (a *API) vrf(v *store.VRF) *packet.VRF {
	shown := &packet.VRF{
		ID:                                v.ID,
		Href:                              href("vrfs", v.ID),
		Name:                              v.Name,
		Description:                       v.Description,
		LocalASN:                          v.LocalASN,
		IPRanges:                          []string{},
		VirtualCircuits:                   []json.RawMessage{},
		BGPDynamicNeighborsEnabled:        v.DynamicNeighbors,
		BGPDynamicNeighborsExportRouteMap: v.DynamicNeighborsRouteMap,
		BGPDynamicNeighborsBFDEnabled:     v.DynamicNeighborsBFD,
		Project:                           &packet.Project{Href: href("projects", v.ProjectID)},
		Tags:                              orEmpty(v.Tags),
		CreatedAt:                         packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:                         packet.NewTimestamp(v.UpdatedAt),
	}
	for _, block := range v.IPRanges {
		shown.IPRanges = append(shown.IPRanges, block.String())
	}
	if v.CreatedBy != "" {
		shown.CreatedBy = reference("users", v.CreatedBy)
	}
	shown.Metro, _ = a.catalogue.Metro(v.Metro)
	return shown
}
