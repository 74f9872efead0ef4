package packet

// User is a person who uses the API.
type User struct {
	ID                    string     `json:"id,omitempty"`
	Href                  string     `json:"href,omitempty"`
	ShortID               string     `json:"short_id,omitempty"`
	Email                 string     `json:"email,omitempty"`
	FirstName             string     `json:"first_name,omitempty"`
	LastName              string     `json:"last_name,omitempty"`
	FullName              string     `json:"full_name,omitempty"`
	DefaultOrganizationID string     `json:"default_organization_id,omitempty"`
	DefaultProjectID      string     `json:"default_project_id,omitempty"`
	CreatedAt             *Timestamp `json:"created_at,omitempty"`
	UpdatedAt             *Timestamp `json:"updated_at,omitempty"`
}
