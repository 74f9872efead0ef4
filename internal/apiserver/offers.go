package apiserver

import (
	"net/http"
	"slices"

	"github.com/packetyard/packetyard/pkg/packet"
)

func catalogueRoutes() []Route {
	return []Route{
		{http.MethodGet, "/locations/metros", "findMetros", (*API).listMetros, nil},
		{http.MethodGet, "/locations/metros/{id}", "getMetro", (*API).getMetro, nil},
		{http.MethodGet, "/facilities", "findFacilities", (*API).listFacilities, nil},
		{http.MethodGet, "/projects/{id}/facilities", "findFacilitiesByProject", (*API).listFacilities, ofProject},
		{http.MethodGet, "/plans", "findPlans", (*API).listPlans, nil},
		{http.MethodGet, "/projects/{id}/plans", "findPlansByProject", (*API).listPlans, ofProject},
		{http.MethodGet, "/operating-systems", "findOperatingSystems", (*API).listOperatingSystems, nil},
		// Every version has a slug, and so an entry, of its own.
		{http.MethodGet, "/operating-system-versions", "findOperatingSystemVersion", (*API).listOperatingSystems, nil},
	}
}

// What the service offers has no pages, and is the same for every project.

func (a *API) listMetros(*request) (response, error) {
	return answerList("metros", a.catalogue.Metros)
}

func (a *API) getMetro(r *request) (response, error) {
	for i := range a.catalogue.Metros {
		if metro := &a.catalogue.Metros[i]; metro.ID == r.id() || metro.Code == r.id() {
			return encode(http.StatusOK, metro)
		}
	}
	return response{}, errNotFound()
}

// listFacilities says with every answer that metros took its place, since
// clients log that.
func (a *API) listFacilities(*request) (response, error) {
	answer, err := answerList("facilities", a.catalogue.Facilities)
	answer.header = http.Header{
		"Deprecation": {"true"},
		"Link":        {`<` + prefix + `/locations/metros>; rel="successor-version"`},
	}
	return answer, err
}

func (a *API) listPlans(r *request) (response, error) {
	categories := append(r.query["categories[]"], commaList(r.query.Get("categories"))...)
	slug, kind := r.query.Get("slug"), r.query.Get("type")
	var plans []packet.Plan
	for _, plan := range a.catalogue.Plans {
		switch {
		case slug != "" && plan.Slug != slug:
		case kind != "" && plan.Type != kind:
		case len(categories) > 0 && !slices.ContainsFunc(plan.Categories, func(c string) bool { return slices.Contains(categories, c) }):
		default:
			plans = append(plans, plan.Plan)
		}
	}
	return answerList("plans", plans)
}

func (a *API) listOperatingSystems(*request) (response, error) {
	systems := make([]packet.OperatingSystem, 0, len(a.catalogue.OperatingSystems))
	for _, system := range a.catalogue.OperatingSystems {
		systems = append(systems, system.OperatingSystem)
	}
	return answerList("operating_systems", systems)
}

func answerList[T any](key string, values []T) (response, error) {
	elements, err := encodeAll(values)
	if err != nil {
		return response{}, err
	}
	body, err := list(key, elements, nil)
	return response{status: http.StatusOK, body: body}, err
}
