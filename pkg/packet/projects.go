package packet

import (
	"context"
	"encoding/json"
	"net/http"
)

// Project owns devices and addresses, and is what a token is good for.
type Project struct {
	ID                     string          `json:"id,omitempty"`
	Href                   string          `json:"href,omitempty"`
	Name                   string          `json:"name,omitempty"`
	Type                   string          `json:"type,omitempty"`
	BackendTransferEnabled bool            `json:"backend_transfer_enabled,omitempty"`
	BGPConfig              *Href           `json:"bgp_config,omitempty"`
	Organization           *Organization   `json:"organization,omitempty"`
	PaymentMethod          *Href           `json:"payment_method,omitempty"`
	Devices                []Href          `json:"devices,omitempty"`
	Members                []Href          `json:"members,omitempty"`
	Memberships            []Href          `json:"memberships,omitempty"`
	Invitations            []Href          `json:"invitations,omitempty"`
	SSHKeys                []Href          `json:"ssh_keys,omitempty"`
	Volumes                []Href          `json:"volumes,omitempty"`
	Tags                   []string        `json:"tags,omitempty"`
	MaxDevices             json.RawMessage `json:"max_devices,omitempty"`
	NetworkStatus          json.RawMessage `json:"network_status,omitempty"`
	CustomData             json.RawMessage `json:"customdata,omitempty"`
	URL                    string          `json:"url,omitempty"`
	CreatedAt              *Timestamp      `json:"created_at,omitempty"`
	UpdatedAt              *Timestamp      `json:"updated_at,omitempty"`
}

// ProjectList is the answer to listing projects.
type ProjectList struct {
	Projects []Project `json:"projects"`
	Meta     *Meta     `json:"meta,omitempty"`
}

// ProjectCreate is a new project. OrganizationID is empty for the default
// organization of the token's user, and is not used where the organization is
// part of the operation (createProject, createOrganizationProject).
type ProjectCreate struct {
	// Name has 1 to 80 characters, none of them of more than three bytes.
	Name            string          `json:"name"`
	OrganizationID  string          `json:"organization_id,omitempty"`
	PaymentMethodID string          `json:"payment_method_id,omitempty"`
	Type            string          `json:"type,omitempty"`
	CustomData      json.RawMessage `json:"customdata,omitempty"`
	Tags            []string        `json:"tags,omitempty"`
}

// ProjectUpdate changes what is not nil of a project (updateProject).
type ProjectUpdate struct {
	Name                   *string         `json:"name,omitempty"`
	PaymentMethodID        *string         `json:"payment_method_id,omitempty"`
	BackendTransferEnabled *bool           `json:"backend_transfer_enabled,omitempty"`
	CustomData             json.RawMessage `json:"customdata,omitempty"`
	Tags                   *[]string       `json:"tags,omitempty"`
}

// Projects lists all projects that the token is good for.
func (c *Client) Projects(ctx context.Context, options ...QueryOption) ([]Project, error) {
	return listAll(ctx, c, listing[ProjectList, Project]{
		operation: "findProjects",
		path:      "/projects",
		query:     query(options),
		paged:     true,
		items:     func(l *ProjectList) ([]Project, *Meta) { return l.Projects, l.Meta },
		id:        projectID,
	})
}

// Project reads one project.
func (c *Client) Project(ctx context.Context, id string, options ...QueryOption) (*Project, error) {
	if err := checkID("project", id); err != nil {
		return nil, err
	}
	return get(ctx, c, "findProjectById", "/projects/"+id, query(options), projectID)
}

// CreateProject makes a project. After an error that IsTransient it may exist.
func (c *Client) CreateProject(ctx context.Context, create ProjectCreate, options ...QueryOption) (*Project, error) {
	return send(ctx, c, request{
		operation: "createProject", method: http.MethodPost, path: "/projects", query: query(options), body: create,
	}, projectID)
}

// UpdateProject changes a project.
func (c *Client) UpdateProject(ctx context.Context, id string, update ProjectUpdate, options ...QueryOption) (*Project, error) {
	if err := checkID("project", id); err != nil {
		return nil, err
	}
	return send(ctx, c, request{
		operation: "updateProject", method: http.MethodPut, path: "/projects/" + id, query: query(options), body: update,
	}, projectID)
}

// DeleteProject deletes a project with its keys. The API refuses it (422)
// while the project has devices or holds addresses or networks.
func (c *Client) DeleteProject(ctx context.Context, id string) error {
	if err := checkID("project", id); err != nil {
		return err
	}
	return c.do(ctx, request{operation: "deleteProject", method: http.MethodDelete, path: "/projects/" + id})
}

func projectID(p *Project) string { return p.ID }
