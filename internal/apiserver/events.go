package apiserver

import (
	"net/http"

	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
)

func eventRoutes() []Route {
	return []Route{
		{http.MethodGet, "/devices/{id}/events", "findDeviceEvents", (*API).listDeviceEvents, ofDevice},
		{http.MethodGet, "/projects/{id}/events", "findProjectEvents", (*API).listProjectEvents, ofProject},
		{http.MethodGet, "/organizations/{id}/events", "findOrganizationEvents", (*API).listOrganizationEvents, ofOrganization},
		{http.MethodGet, "/events", "findEvents", (*API).listEvents, nil},
		{http.MethodGet, "/events/{id}", "findEventById", (*API).getEvent, ofEvent},
	}
}

func (a *API) listDeviceEvents(r *request) (response, error) {
	return answerPage(a, r, "events", defaultPerPage, func(s *store.Snapshot) []*store.Row[store.Event] {
		device, ok := s.Devices.Get(r.id())
		if !ok {
			return nil
		}
		return newestFirst(lifecycle.EventsOf(s, device.Value))
	}, plain(event))
}

// listEvents lists what happened in all projects that the token is good for.
func (a *API) listEvents(r *request) (response, error) {
	return a.answerEvents(r, func(s *store.Snapshot) []*store.Row[store.Project] { return visibleProjects(s, r.viewer()) })
}

func (a *API) listOrganizationEvents(r *request) (response, error) {
	return a.answerEvents(r, func(s *store.Snapshot) []*store.Row[store.Project] {
		return s.Projects.In(store.InOrganization(r.id()))
	})
}

func (a *API) listProjectEvents(r *request) (response, error) {
	return a.answerEvents(r, func(s *store.Snapshot) []*store.Row[store.Project] {
		project, ok := s.Projects.Get(r.id())
		if !ok {
			return nil
		}
		return []*store.Row[store.Project]{project}
	})
}

// answerEvents shows a page of what happened to the devices of some projects,
// the newest first.
func (a *API) answerEvents(r *request, among func(*store.Snapshot) []*store.Row[store.Project]) (answer response, err error) {
	page, err := r.paging(defaultPerPage)
	if err != nil {
		return response{}, err
	}
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		var devices []*store.Row[store.Device]
		for _, project := range among(s) {
			devices = append(devices, s.Devices.In(store.InProject(project.Value.ID))...)
		}
		rows, total := lifecycle.LatestEvents(s, devices, (page.number-1)*page.size, page.size)
		answer, err = answerRows(a, r, s, "events", rows, plain(event), page.meta(r.path(), r.query, total))
		return err
	})
	return answer, err
}

func (a *API) getEvent(r *request) (response, error) {
	find := func(s *store.Snapshot) (*store.Row[store.Event], bool) { return lifecycle.FindEvent(s, r.id()) }
	answer, err := answerFound(a, r, http.StatusOK, find, plain(event))
	if err != nil {
		of := func(s *store.Snapshot) (*store.Row[routeEvent], bool) { return findRouteEvent(s, r.id()) }
		return answerFound(a, r, http.StatusOK, of, plain(vrfRouteEvent))
	}
	return answer, nil
}

// newestFirst turns the store's order around.
func newestFirst[T any](rows []*store.Row[T]) []*store.Row[T] {
	turned := make([]*store.Row[T], len(rows))
	for i, row := range rows {
		turned[len(rows)-1-i] = row
	}
	return turned
}
