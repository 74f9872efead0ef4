package apiserver

import (
	"net/http"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

func eventRoutes() []Route {
	return []Route{
		{http.MethodGet, "/devices/{id}/events", "findDeviceEvents", (*API).listDeviceEvents, ofDevice},
		{http.MethodGet, "/events/{id}", "findEventById", (*API).getEvent, ofEvent},
	}
}

func (a *API) listDeviceEvents(r *request) (response, error) {
	return answerPage(a, r, "events", defaultPerPage, func(s *store.Snapshot) []*store.Row[store.Event] {
		return newestFirst(s.Events.In(store.OfDevice(r.id())))
	}, plain(event))
}

func (a *API) getEvent(r *request) (response, error) {
	return answerRow(a, r, http.StatusOK, events, r.id(), plain(event))
}

// newestFirst turns the store's order around.
func newestFirst[T any](rows []*store.Row[T]) []*store.Row[T] {
	turned := make([]*store.Row[T], len(rows))
	for i, row := range rows {
		turned[len(rows)-1-i] = row
	}
	return turned
}
