package apiserver

import (
	"net/http"
	"strings"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func projectRoutes() []Route {
	return []Route{
		{http.MethodGet, "/projects", "findProjects", (*API).listProjects, nil},
		{http.MethodGet, "/projects/{id}", "findProjectById", (*API).getProject, ofProject},
	}
}

func (a *API) listProjects(r *request) (response, error) {
	name := strings.ToLower(r.query.Get("name"))
	return answerPage(a, r, "projects", defaultPerPage, func(s *store.Snapshot) []*store.Row[store.Project] {
		return where(s.Projects.All(), func(project *store.Project) bool {
			return r.viewer().mayProject(s, project.ID) && strings.Contains(strings.ToLower(project.Name), name)
		})
	}, plain(a.project))
}

func (a *API) getProject(r *request) (response, error) {
	return answerRow(a, r, http.StatusOK, projects, r.id(), plain(a.project))
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
