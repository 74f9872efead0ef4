package apiserver

import (
	"net/http"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func (a *API) listProjects(r *request) (answer response, err error) {
	page, err := r.paging(defaultPerPage)
	if err != nil {
		return response{}, err
	}
	name := strings.ToLower(r.query.Get("name"))
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		rows := slices.DeleteFunc(slices.Clone(s.Projects.All()), func(row *store.Row[store.Project]) bool {
			return !strings.Contains(strings.ToLower(row.Value.Name), name)
		})
		elements, err := encodeRows(cut(page, rows), a.project)
		if err != nil {
			return err
		}
		selection := selectionOf(r.query)
		for i := range elements {
			if elements[i], err = selection.apply(a, s, elements[i]); err != nil {
				return err
			}
		}
		body, err := list("projects", elements, page.meta("/projects", r.query, len(rows)))
		answer = response{status: http.StatusOK, body: body}
		return err
	})
	return answer, err
}

func (a *API) getProject(r *request) (answer response, err error) {
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		row, ok := s.Projects.Get(r.id())
		if !ok {
			return errNotFound()
		}
		body, err := encodeRow(row, a.project)
		if err != nil {
			return err
		}
		body, err = selectionOf(r.query).apply(a, s, body)
		answer = response{status: http.StatusOK, body: body}
		return err
	})
	return answer, err
}

func (a *API) project(v *store.Project) *packet.Project {
	return &packet.Project{
		ID:           v.ID,
		Href:         href("projects", v.ID),
		Name:         v.Name,
		Type:         "default",
		BGPConfig:    &packet.Href{Href: href("projects", v.ID) + "/bgp-config"},
		Organization: &packet.Organization{Href: href("organizations", v.OrganizationID)},
		CustomData:   orObject(nil),
		CreatedAt:    packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:    packet.NewTimestamp(v.CreatedAt),
	}
}

func organization(v *store.Organization) *packet.Organization {
	return &packet.Organization{
		ID:        v.ID,
		Href:      href("organizations", v.ID),
		Name:      v.Name,
		CreatedAt: packet.NewTimestamp(v.CreatedAt),
		UpdatedAt: packet.NewTimestamp(v.CreatedAt),
	}
}
