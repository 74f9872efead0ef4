package apiserver

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func organizationRoutes() []Route {
	return []Route{
		{http.MethodGet, "/organizations", "findOrganizations", (*API).listOrganizations, nil},
		{http.MethodPost, "/organizations", "createOrganization", (*API).createOrganization, nil},
		{http.MethodGet, "/organizations/{id}", "findOrganizationById", (*API).getOrganization, ofOrganization},
		{http.MethodPut, "/organizations/{id}", "updateOrganization", (*API).updateOrganization, ofOrganization},
		{http.MethodDelete, "/organizations/{id}", "deleteOrganization", (*API).deleteOrganization, ofOrganization},
		{http.MethodGet, "/organizations/{id}/customdata", "findOrganizationCustomdata", (*API).getOrganizationCustomData, ofOrganization},
		{http.MethodGet, "/organizations/{id}/projects", "findOrganizationProjects", (*API).listOrganizationProjects, ofOrganization},
		{http.MethodPost, "/organizations/{id}/projects", "createOrganizationProject", (*API).createOrganizationProject, ofOrganization},
		{http.MethodGet, "/organizations/{id}/devices", "findOrganizationDevices", (*API).listOrganizationDevices, ofOrganization},
		{http.MethodGet, "/organizations/{id}/plans", "findPlansByOrganization", (*API).listPlans, ofOrganization},
		{http.MethodGet, "/organizations/{id}/facilities", "findFacilitiesByOrganization", (*API).listFacilities, ofOrganization},
		{http.MethodGet, "/organizations/{id}/operating-systems", "findOperatingSystemsByOrganization", (*API).listOperatingSystems, ofOrganization},
	}
}

// listOrganizations lists those that the user is a member of. The one that
// the user came with is the personal one.
func (a *API) listOrganizations(r *request) (response, error) {
	personal, withoutProjects := r.query.Get("personal"), r.query.Get("without_projects")
	var p problems
	p.unless("personal", personal, "include", "exclude", "only")
	p.unless("without_projects", withoutProjects, "include", "exclude", "only")
	if err := p.err(); err != nil {
		return response{}, err
	}
	// wanted tells whether a filter lets through what has a property or not.
	wanted := func(filter string, has bool) bool {
		return filter == "" || filter == "include" || has == (filter == "only")
	}
	return answerPage(a, r, "organizations", defaultPerPage, func(s *store.Snapshot) []*store.Row[store.Organization] {
		own := ""
		if user, ok := s.Users.Get(r.token.UserID); ok {
			own = user.Value.OrganizationID
		}
		return where(s.Organizations.All(), func(v *store.Organization) bool {
			return r.viewer().may(s, owner{organization: v.ID}) && wanted(personal, v.ID == own) &&
				wanted(withoutProjects, s.Projects.Count(store.InOrganization(v.ID)) == 0)
		})
	}, a.encodeOrganization)
}

func (a *API) getOrganization(r *request) (response, error) {
	return answerRow(a, r, http.StatusOK, organizations, r.id(), a.encodeOrganization)
}

func (a *API) getOrganizationCustomData(r *request) (response, error) {
	return answerCustomData(a, r, organizations, func(v *store.Organization) json.RawMessage { return v.CustomData })
}

func (a *API) createOrganization(r *request) (response, error) {
	if err := r.mustBeUser(); err != nil {
		return response{}, err
	}
	var input packet.OrganizationInput
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	var p problems
	if input.Name == nil {
		p.add("name can't be blank")
	}
	p.organization(&input)
	if err := p.err(); err != nil {
		return response{}, err
	}
	now := a.clock.Now()
	organization := &store.Organization{ID: uuid.NewString(), Members: []string{r.token.UserID}, CreatedAt: now, UpdatedAt: now}
	change(organization, &input)
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		tx.Organizations.Create(tx, organization)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	answer, err := answerRow(a, r, http.StatusCreated, organizations, organization.ID, a.encodeOrganization)
	answer.location = href("organizations", organization.ID)
	return answer, err
}

func (a *API) updateOrganization(r *request) (response, error) {
	var input packet.OrganizationInput
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	var p problems
	p.organization(&input)
	if err := p.err(); err != nil {
		return response{}, err
	}
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.Organizations.Get(r.id())
		if !ok {
			return errNotFound()
		}
		organization := *row.Value
		change(&organization, &input)
		organization.UpdatedAt = a.clock.Now()
		tx.Organizations.Update(tx, row, &organization)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return a.getOrganization(r)
}

// deleteOrganization deletes an organization that nothing depends on.
func (a *API) deleteOrganization(r *request) (response, error) {
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.Organizations.Get(r.id())
		if !ok {
			return errNotFound()
		}
		var p problems
		if count := tx.Projects.Count(store.InOrganization(r.id())); count > 0 {
			p.add("Cannot delete an organization while it has projects: there are %d", count)
		}
		if len(where(tx.Users.All(), func(v *store.User) bool { return v.OrganizationID == r.id() })) > 0 {
			p.add("Cannot delete an organization that is the default organization of a user")
		}
		if err := p.err(); err != nil {
			return err
		}
		tx.Leave(store.InOrganization(r.id()))
		tx.Organizations.Delete(tx, row)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return noContent()
}

func (a *API) listOrganizationProjects(r *request) (response, error) {
	return a.answerProjects(r, func(s *store.Snapshot) []*store.Row[store.Project] {
		return s.Projects.In(store.InOrganization(r.id()))
	})
}

func (a *API) createOrganizationProject(r *request) (response, error) {
	var input packet.ProjectCreate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	return a.addProject(r, input, r.id())
}

func (a *API) listOrganizationDevices(r *request) (response, error) {
	filter := a.deviceFilterOf(r.query)
	return answerPage(a, r, "devices", defaultPerPage, func(s *store.Snapshot) []*store.Row[store.Device] {
		var rows []*store.Row[store.Device]
		for _, project := range s.Projects.In(store.InOrganization(r.id())) {
			rows = append(rows, filter.choose(s, s.Devices.In(store.InProject(project.Value.ID)))...)
		}
		return rows
	}, a.encodeDevice)
}

// organization checks a new organization, or a change of one.
func (p *problems) organization(input *packet.OrganizationInput) {
	if input.Name != nil && strings.TrimSpace(*input.Name) == "" {
		p.add("name can't be blank")
	}
	p.address("address", input.Address)
	p.address("billing_address", input.BillingAddress)
	p.customData(input.CustomData)
	if input.Enforce2FAAt != nil && !input.Enforce2FAAt.IsZero() {
		p.add("enforce_2fa_at is not possible: this server has no second factor")
	}
}

// address refuses half an address. None of it at all is what packngo sends
// for none.
func (p *problems) address(field string, v *packet.Address) {
	if v == nil || *v == (packet.Address{}) {
		return
	}
	for _, required := range []struct{ name, value string }{{"address", v.Address}, {"zip_code", v.ZipCode}, {"country", v.Country}} {
		if strings.TrimSpace(required.value) == "" {
			p.add("%s.%s can't be blank", field, required.name)
		}
	}
}

// change makes of an organization what a request says.
func change(organization *store.Organization, input *packet.OrganizationInput) {
	set(&organization.Name, input.Name)
	set(&organization.Description, input.Description)
	set(&organization.Website, input.Website)
	set(&organization.Twitter, input.Twitter)
	if input.Address != nil {
		organization.Address = someAddress(input.Address)
	}
	if input.BillingAddress != nil {
		organization.BillingAddress = someAddress(input.BillingAddress)
	}
	if input.CustomData != nil {
		organization.CustomData = objectOnly(input.CustomData)
	}
}

func someAddress(v *packet.Address) *packet.Address {
	if *v == (packet.Address{}) {
		return nil
	}
	return v
}

// encodeOrganization is an organization as the API shows it. Its projects and
// members change too often for it to be kept.
func (a *API) encodeOrganization(s *store.Snapshot, row *store.Row[store.Organization]) ([]byte, error) {
	return json.Marshal(organization(s, row.Value))
}

func organization(s *store.Snapshot, v *store.Organization) *packet.Organization {
	shown := &packet.Organization{
		ID:             v.ID,
		Href:           href("organizations", v.ID),
		Name:           v.Name,
		Description:    v.Description,
		Website:        v.Website,
		Twitter:        v.Twitter,
		Address:        v.Address,
		BillingAddress: v.BillingAddress,
		CustomData:     orObject(v.CustomData),
		CreatedAt:      packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:      latest(v.CreatedAt, v.UpdatedAt),
	}
	for _, row := range s.Projects.In(store.InOrganization(v.ID)) {
		shown.Projects = append(shown.Projects, *reference("projects", row.Value.ID))
	}
	shown.Members = members(s, v.ID)
	return shown
}

// members are references to the users who may do all in an organization.
func members(s *store.Snapshot, organizationID string) []packet.Href {
	var list []packet.Href
	for _, row := range s.Users.All() {
		if isMember(s, organizationID, row.Value.ID) {
			list = append(list, *reference("users", row.Value.ID))
		}
	}
	return list
}
