package apiserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func capacityRoutes() []Route {
	return []Route{
		{http.MethodGet, "/capacity", "findCapacityForFacility", (*API).capacityOfFacilities, nil},
		{http.MethodPost, "/capacity", "checkCapacityForFacility", (*API).checkFacilities, nil},
		{http.MethodGet, "/capacity/metros", "findCapacityForMetro", (*API).capacityOfMetros, nil},
		{http.MethodPost, "/capacity/metros", "checkCapacityForMetro", (*API).checkMetros, nil},
		{http.MethodGet, "/organizations/{id}/capacity", "findOrganizationCapacityPerFacility", (*API).capacityOfFacilities, ofOrganization},
		{http.MethodGet, "/organizations/{id}/capacity/metros", "findOrganizationCapacityPerMetro", (*API).capacityOfMetros, ofOrganization},
	}
}

// From how many servers on the level of a limited plan is a better one.
const (
	criticalBelow = 5
	limitedBelow  = 15
)

// unlimited is how many servers there are where nobody set a limit.
const unlimited = -1

// limit finds how many servers of a plan there are in a metro: what is
// stored counts more than what the server was started with, and of either the
// most specific. The row is nil where no record decides.
func (a *API) limit(s *store.Snapshot, plan, metro string) (int, *store.Row[store.Capacity]) {
	for _, id := range capacityIDs(plan, metro) {
		if row, ok := s.Capacities.Get(id); ok {
			return row.Value.Servers, row
		}
	}
	for _, id := range capacityIDs(plan, metro) {
		if servers, ok := a.capacity[id]; ok {
			return servers, nil
		}
	}
	return unlimited, nil
}

// capacityIDs lists the IDs of what decides on a plan in a metro, the most
// specific first. A metro counts more than a plan, so that one without any
// servers is without any.
func capacityIDs(plan, metro string) []string {
	return []string{
		store.CapacityID(plan, metro), store.CapacityID("", metro), store.CapacityID(plan, ""), store.CapacityID("", ""),
	}
}

// available is how many servers of a plan are free in a metro, or unlimited.
func (a *API) available(s *store.Snapshot, plan, metro string) int {
	servers, _ := a.limit(s, plan, metro)
	if servers < 0 {
		return unlimited
	}
	return max(0, servers-len(s.Devices.In(store.OnDemand(plan, metro))))
}

// take takes a server of a plan in a metro, and returns false where there is
// none left. Where there is a limit, the claim makes two who take the last
// server at once decide one after the other.
func (a *API) take(tx *store.Tx, plan, metro string) bool {
	servers, row := a.limit(tx.Snapshot, plan, metro)
	if servers < 0 {
		return true
	}
	if a.available(tx.Snapshot, plan, metro) == 0 {
		return false
	}
	if row != nil {
		tx.Capacities.Require(tx, row)
	}
	claim, ok := tx.CapacityClaims.Get(store.CapacityID(plan, metro))
	if !ok {
		tx.CapacityClaims.Create(tx, &store.CapacityClaim{Plan: plan, Metro: metro, Claims: 1})
		return true
	}
	next := *claim.Value
	next.Claims++
	tx.CapacityClaims.Update(tx, claim, &next)
	return true
}

func planCapacity(available int) packet.PlanCapacity {
	if available < 0 {
		return packet.PlanCapacity{Level: packet.CapacityNormal}
	}
	level := packet.CapacityNormal
	switch {
	case available == 0:
		level = packet.CapacityUnavailable
	case available < criticalBelow:
		level = packet.CapacityCritical
	case available < limitedBelow:
		level = packet.CapacityLimited
	}
	return packet.PlanCapacity{Level: level, AvailableServers: &available}
}

func (a *API) capacityOfMetros(r *request) (response, error) {
	report := packet.CapacityReport{}
	return a.answerCapacity(r, report, func(s *store.Snapshot) {
		for _, metro := range a.catalogue.Metros {
			report[metro.Code] = a.capacityIn(s, metro.Code)
		}
	})
}

// capacityOfFacilities shows for a facility what its metro has: which
// building of a metro a server stands in, nobody keeps account of.
func (a *API) capacityOfFacilities(r *request) (response, error) {
	report := packet.CapacityReport{}
	return a.answerCapacity(r, report, func(s *store.Snapshot) {
		for _, facility := range a.catalogue.Facilities {
			report[facility.Code] = a.capacityIn(s, facility.Metro.Code)
		}
	})
}

func (a *API) answerCapacity(r *request, report packet.CapacityReport, fill func(*store.Snapshot)) (response, error) {
	err := a.store.Read(r.ctx, func(s *store.Snapshot) error {
		fill(s)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return encode(http.StatusOK, packet.CapacityList{Capacity: report})
}

func (a *API) capacityIn(s *store.Snapshot, metro string) map[string]packet.PlanCapacity {
	plans := make(map[string]packet.PlanCapacity, len(a.catalogue.Plans))
	for i := range a.catalogue.Plans {
		slug := a.catalogue.Plans[i].Slug
		plans[slug] = planCapacity(a.available(s, slug, metro))
	}
	return plans
}

func (a *API) checkMetros(r *request) (response, error) {
	return a.checkCapacity(r, func(p *problems, field string, server packet.CapacityServers) string {
		metro, ok := a.metro(server.Metro)
		if !ok {
			p.notOneOf(field+".metro", server.Metro, a.catalogue.MetroCodes())
			return ""
		}
		return metro.Code
	})
}

func (a *API) checkFacilities(r *request) (response, error) {
	return a.checkCapacity(r, func(p *problems, field string, server packet.CapacityServers) string {
		facility, ok := a.catalogue.Facility(server.Facility)
		if !ok {
			p.notOneOf(field+".facility", server.Facility, a.catalogue.FacilityCodes())
			return ""
		}
		return facility.Metro.Code
	})
}

// checkCapacity tells for each entry whether it could be had by itself. The
// answer repeats what was sent.
func (a *API) checkCapacity(r *request, metroOf func(*problems, string, packet.CapacityServers) string) (response, error) {
	var input packet.CapacityCheck
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	var p problems
	type wanted struct {
		plan, metro string
		quantity    int
	}
	wants := make([]wanted, len(input.Servers))
	if len(input.Servers) == 0 {
		p.add("servers can't be blank: it is a list of plan, place and quantity")
	}
	for i, server := range input.Servers {
		field := fmt.Sprintf("servers[%d]", i)
		plan, ok := a.catalogue.Plan(server.Plan)
		if ok {
			wants[i].plan = plan.Slug
		} else {
			p.notOneOf(field+".plan", server.Plan, a.catalogue.PlanSlugs())
		}
		wants[i].metro = metroOf(&p, field, server)
		wants[i].quantity = p.checkedQuantity(field+".quantity", server.Quantity)
	}
	if err := p.err(); err != nil {
		return response{}, err
	}
	err := a.store.Read(r.ctx, func(s *store.Snapshot) error {
		for i, want := range wants {
			left := a.available(s, want.plan, want.metro)
			enough := left < 0 || want.quantity <= left
			input.Servers[i].Available = &enough
		}
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return encode(http.StatusOK, input)
}

// checkedQuantity reads a number that is a JSON number or a text; none is 1.
func (p *problems) checkedQuantity(field string, data json.RawMessage) int {
	text := string(bytes.Trim(data, `"`))
	if text == "" || text == "null" {
		return 1
	}
	quantity, err := strconv.Atoi(text)
	if err != nil || quantity < 1 {
		p.add("%s %.40s is not a whole number from 1", field, data)
	}
	return quantity
}

// metro finds a metro by its code or its ID.
func (a *API) metro(name string) (*packet.Metro, bool) {
	if metro, ok := a.catalogue.Metro(name); ok {
		return metro, true
	}
	for i := range a.catalogue.Metros {
		if a.catalogue.Metros[i].ID == name {
			return &a.catalogue.Metros[i], true
		}
	}
	return nil, false
}
