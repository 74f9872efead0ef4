package packet

import (
	"context"
	"encoding/json"
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

// Organization owns projects.
type Organization struct {
	ID          string     `json:"id,omitempty"`
	Href        string     `json:"href,omitempty"`
	Name        string     `json:"name,omitempty"`
	Description string     `json:"description,omitempty"`
	Projects    []Href     `json:"projects,omitempty"`
	Members     []Href     `json:"members,omitempty"`
	CreatedAt   *Timestamp `json:"created_at,omitempty"`
	UpdatedAt   *Timestamp `json:"updated_at,omitempty"`
}

// Projects lists all projects that the token is good for.
func (c *Client) Projects(ctx context.Context, options ...QueryOption) ([]Project, error) {
	return listAll(ctx, c, listing[ProjectList, Project]{
		operation: "findProjects",
		path:      "/projects",
		query:     query(options),
		paged:     true,
		items:     func(l *ProjectList) ([]Project, *Meta) { return l.Projects, l.Meta },
		id:        func(p *Project) string { return p.ID },
	})
}

// Project reads one project.
func (c *Client) Project(ctx context.Context, id string, options ...QueryOption) (*Project, error) {
	if err := checkID("project", id); err != nil {
		return nil, err
	}
	return get(ctx, c, "findProjectById", "/projects/"+id, query(options), func(p *Project) string { return p.ID })
}
