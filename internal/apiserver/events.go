package apiserver

import (
	"net/http"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

func (a *API) listDeviceEvents(r *request) (answer response, err error) {
	page, err := r.paging(defaultPerPage)
	if err != nil {
		return response{}, err
	}
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		if _, ok := s.Devices.Get(r.id()); !ok {
			return errNotFound()
		}
		rows := newestFirst(s.Events.In(store.OfDevice(r.id())))
		elements, err := encodeRows(cut(page, rows), event)
		if err != nil {
			return err
		}
		body, err := list("events", elements, page.meta("/devices/"+r.id()+"/events", r.query, len(rows)))
		answer = response{status: http.StatusOK, body: body}
		return err
	})
	return answer, err
}

// newestFirst turns the store's order around.
func newestFirst[T any](rows []*store.Row[T]) []*store.Row[T] {
	turned := make([]*store.Row[T], len(rows))
	for i, row := range rows {
		turned[len(rows)-1-i] = row
	}
	return turned
}

func (a *API) getEvent(r *request) (answer response, err error) {
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		row, ok := s.Events.Get(r.id())
		if !ok {
			return errNotFound()
		}
		body, err := encodeRow(row, event)
		answer = response{status: http.StatusOK, body: body}
		return err
	})
	return answer, err
}
