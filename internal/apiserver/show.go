package apiserver

import (
	"net/http"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// answerRow shows one object as the request selects it.
func answerRow[T any](
	a *API, r *request, status int, table func(*store.Snapshot) *store.Table[T], id string, encode encoder[T],
) (answer response, err error) {
	return answerFound(a, r, status, func(s *store.Snapshot) (*store.Row[T], bool) { return table(s).Get(id) }, encode)
}

// answerFound shows the object that find finds as the request selects it.
func answerFound[T any](
	a *API, r *request, status int, find func(*store.Snapshot) (*store.Row[T], bool), encode encoder[T],
) (answer response, err error) {
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		row, ok := find(s)
		if !ok {
			return errNotFound()
		}
		body, err := encode(s, row)
		if err != nil {
			return err
		}
		body, err = r.selection().apply(a, s, body)
		answer = response{status: status, body: body}
		return err
	})
	return answer, err
}

// answerPage shows a page of the rows that choose finds, as the request
// selects, with meta.
func answerPage[T any](
	a *API, r *request, key string, defaultSize int, choose func(*store.Snapshot) []*store.Row[T], encode encoder[T],
) (answer response, err error) {
	page, err := r.paging(defaultSize)
	if err != nil {
		return response{}, err
	}
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		rows := choose(s)
		answer, err = answerRows(a, r, s, key, cut(page, rows), encode, page.meta(r.path(), r.query, len(rows)))
		return err
	})
	return answer, err
}

// answerAll shows all the rows that choose finds, for the lists of the API
// that have no pages.
func answerAll[T any](
	a *API, r *request, key string, choose func(*store.Snapshot) []*store.Row[T], encode encoder[T],
) (answer response, err error) {
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		answer, err = answerRows(a, r, s, key, choose(s), encode, nil)
		return err
	})
	return answer, err
}

func answerRows[T any](
	a *API, r *request, s *store.Snapshot, key string, rows []*store.Row[T], encode encoder[T], meta *packet.Meta,
) (response, error) {
	selection := r.selection()
	elements := make([][]byte, 0, len(rows))
	for _, row := range rows {
		data, err := encode(s, row)
		if err != nil {
			return response{}, err
		}
		if data, err = selection.apply(a, s, data); err != nil {
			return response{}, err
		}
		elements = append(elements, data)
	}
	parts, err := listing(key, elements, meta)
	return response{status: http.StatusOK, parts: parts}, err
}

// where returns the rows that a condition holds for.
func where[T any](rows []*store.Row[T], holds func(*T) bool) []*store.Row[T] {
	var chosen []*store.Row[T]
	for _, row := range rows {
		if holds(row.Value) {
			chosen = append(chosen, row)
		}
	}
	return chosen
}
