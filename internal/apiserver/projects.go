package apiserver

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func projectRoutes() []Route {
	return []Route{
		{http.MethodGet, "/projects", "findProjects", (*API).listProjects, nil},
		{http.MethodPost, "/projects", "createProject", (*API).createProject, nil},
		{http.MethodGet, "/projects/{id}", "findProjectById", (*API).getProject, ofProject},
		{http.MethodPut, "/projects/{id}", "updateProject", (*API).updateProject, ofProject},
		{http.MethodDelete, "/projects/{id}", "deleteProject", (*API).deleteProject, ofProject},
		{http.MethodGet, "/projects/{id}/customdata", "findProjectCustomdata", (*API).getProjectCustomData, ofProject},
	}
}

func (a *API) listProjects(r *request) (response, error) {
	return a.answerProjects(r, func(s *store.Snapshot) []*store.Row[store.Project] { return visibleProjects(s, r.viewer()) })
}

// answerProjects shows a page of those of some projects whose names have the
// text in them that is asked for.
func (a *API) answerProjects(r *request, among func(*store.Snapshot) []*store.Row[store.Project]) (response, error) {
	name := strings.ToLower(r.query.Get("name"))
	return answerPage(a, r, "projects", defaultPerPage, func(s *store.Snapshot) []*store.Row[store.Project] {
		return where(among(s), func(project *store.Project) bool {
			return strings.Contains(strings.ToLower(project.Name), name)
		})
	}, a.encodeProject)
}

// visibleProjects are the projects that a viewer may know of.
func visibleProjects(s *store.Snapshot, v viewer) []*store.Row[store.Project] {
	return where(s.Projects.All(), func(project *store.Project) bool { return v.mayProject(s, project.ID) })
}

func (a *API) getProject(r *request) (response, error) {
	return a.answerProject(r, http.StatusOK, r.id())
}

func (a *API) answerProject(r *request, status int, id string) (response, error) {
	return answerRow(a, r, status, projects, id, a.encodeProject)
}

func (a *API) getProjectCustomData(r *request) (response, error) {
	return answerCustomData(a, r, projects, func(v *store.Project) json.RawMessage { return v.CustomData })
}

// createProject makes a project in the organization that is named, or in the
// user's own.
func (a *API) createProject(r *request) (response, error) {
	if err := r.mustBeUser(); err != nil {
		return response{}, err
	}
	var input packet.ProjectCreate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	return a.addProject(r, input, input.OrganizationID)
}

// addProject makes a project in an organization; without an ID that is the
// user's own.
func (a *API) addProject(r *request, input packet.ProjectCreate, organizationID string) (response, error) {
	var p problems
	p.projectName(input.Name)
	p.unless("type", input.Type, projectType)
	p.paymentMethod(input.PaymentMethodID)
	p.customData(input.CustomData)
	if err := p.err(); err != nil {
		return response{}, err
	}
	now := a.clock.Now()
	project := &store.Project{
		ID:         uuid.NewString(),
		Name:       input.Name,
		Tags:       input.Tags,
		CustomData: objectOnly(input.CustomData),
		CreatedAt:  now,
		UpdatedAt:  now,
	}
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		// What an earlier attempt decided counts no more.
		made := *project
		made.OrganizationID = organizationID
		if organizationID == "" {
			user, ok := tx.Users.Get(r.token.UserID)
			if !ok {
				return errNotFound()
			}
			made.OrganizationID = user.Value.OrganizationID
		}
		if _, ok := tx.Organizations.Get(made.OrganizationID); !ok || !r.viewer().may(tx.Snapshot, owner{organization: made.OrganizationID}) {
			return refuse(http.StatusUnprocessableEntity, "organization_id %q is none of the user's organizations", made.OrganizationID)
		}
		tx.Projects.Create(tx, &made)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	answer, err := a.answerProject(r, http.StatusCreated, project.ID)
	answer.location = href("projects", project.ID)
	return answer, err
}

func (a *API) updateProject(r *request) (response, error) {
	var input packet.ProjectUpdate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	var p problems
	if input.Name != nil {
		p.projectName(*input.Name)
	}
	if input.PaymentMethodID != nil {
		p.paymentMethod(*input.PaymentMethodID)
	}
	p.customData(input.CustomData)
	if err := p.err(); err != nil {
		return response{}, err
	}
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.Projects.Get(r.id())
		if !ok {
			return errNotFound()
		}
		project := *row.Value
		set(&project.Name, input.Name)
		set(&project.Tags, input.Tags)
		set(&project.BackendTransfer, input.BackendTransferEnabled)
		if input.CustomData != nil {
			project.CustomData = objectOnly(input.CustomData)
		}
		project.UpdatedAt = a.clock.Now()
		tx.Projects.Update(tx, row, &project)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return a.answerProject(r, http.StatusOK, r.id())
}

// projectType is the only one that was ever to be had.
const projectType = "default"

// maxProjectName is in characters.
const maxProjectName = 80

func (p *problems) projectName(name string) {
	if strings.TrimSpace(name) == "" {
		p.add("name can't be blank")
	}
	length := 0
	for _, character := range name {
		length++
		if character > 0xffff {
			p.add("name has the character %q, it must have none that UTF-8 encodes in more than three bytes", character)
			break
		}
	}
	if length > maxProjectName {
		p.add("name has more than %d characters", maxProjectName)
	}
}

// paymentMethod refuses all, since nothing is paid for here.
func (p *problems) paymentMethod(id string) {
	if id != "" {
		p.add("payment_method_id %q is no payment method of the organization: this server has none", shortened(id))
	}
}

// encodeProject is a project as the API shows it. What it shows of its
// contents changes too often for it to be kept.
func (a *API) encodeProject(s *store.Snapshot, row *store.Row[store.Project]) ([]byte, error) {
	return json.Marshal(a.project(s, row.Value))
}

func (a *API) project(s *store.Snapshot, v *store.Project) *packet.Project {
	shown := &packet.Project{
		ID:                     v.ID,
		Href:                   href("projects", v.ID),
		Name:                   v.Name,
		Type:                   projectType,
		BackendTransferEnabled: v.BackendTransfer,
		BGPConfig:              &packet.Href{Href: href("projects", v.ID) + "/bgp-config"},
		Organization:           &packet.Organization{Href: href("organizations", v.OrganizationID)},
		Tags:                   orEmpty(v.Tags),
		CustomData:             orObject(v.CustomData),
		CreatedAt:              packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:              latest(v.CreatedAt, v.UpdatedAt),
	}
	for _, row := range s.Devices.In(store.InProject(v.ID)) {
		shown.Devices = append(shown.Devices, *reference("devices", row.Value.ID))
	}
	for _, row := range s.SSHKeys.In(store.InProject(v.ID)) {
		shown.SSHKeys = append(shown.SSHKeys, *reference("ssh-keys", row.Value.ID))
	}
	shown.Members = members(s, v.OrganizationID)
	if len(v.MaxDevices) > 0 {
		// A map of numbers is always JSON.
		shown.MaxDevices, _ = json.Marshal(v.MaxDevices)
	}
	return shown
}
