package packet

import (
	"context"
	"encoding/json"
)

// Organization owns projects. Its members may do everything in it.
type Organization struct {
	ID             string          `json:"id,omitempty"`
	Href           string          `json:"href,omitempty"`
	Name           string          `json:"name,omitempty"`
	Description    string          `json:"description,omitempty"`
	Website        string          `json:"website,omitempty"`
	Twitter        string          `json:"twitter,omitempty"`
	Logo           string          `json:"logo,omitempty"`
	Address        *Address        `json:"address,omitempty"`
	BillingAddress *Address        `json:"billing_address,omitempty"`
	CustomData     json.RawMessage `json:"customdata,omitempty"`
	Projects       []Href          `json:"projects,omitempty"`
	Members        []Href          `json:"members,omitempty"`
	Memberships    []Href          `json:"memberships,omitempty"`
	CreditAmount   float64         `json:"credit_amount,omitempty"`
	Terms          int             `json:"terms,omitempty"`
	CreatedAt      *Timestamp      `json:"created_at,omitempty"`
	UpdatedAt      *Timestamp      `json:"updated_at,omitempty"`
}

// Address is where an organization, or its accounting, is. Generated clients
// refuse one without its first three fields.
type Address struct {
	Address  string `json:"address"`
	ZipCode  string `json:"zip_code"`
	Country  string `json:"country"`
	Address2 string `json:"address2,omitempty"`
	City     string `json:"city"`
	// State is empty rather than missing where it is not known: Terraform's
	// provider takes the one for the other and fails.
	State string `json:"state"`
}

// OrganizationInput makes an organization, or changes what is not nil of one
// (createOrganization, updateOrganization). A new one needs a name.
type OrganizationInput struct {
	Name           *string         `json:"name,omitempty"`
	Description    *string         `json:"description,omitempty"`
	Website        *string         `json:"website,omitempty"`
	Twitter        *string         `json:"twitter,omitempty"`
	Address        *Address        `json:"address,omitempty"`
	BillingAddress *Address        `json:"billing_address,omitempty"`
	CustomData     json.RawMessage `json:"customdata,omitempty"`
	// Enforce2FAAt has the API demand a second factor of members from then on.
	Enforce2FAAt *Timestamp `json:"enforce_2fa_at,omitempty"`
}

// OrganizationList is the answer to listing organizations.
type OrganizationList struct {
	Organizations []Organization `json:"organizations"`
	Meta          *Meta          `json:"meta,omitempty"`
}

// Organizations lists the organizations that the token's user is a member of
// (findOrganizations).
func (c *Client) Organizations(ctx context.Context, options ...QueryOption) ([]Organization, error) {
	return listAll(ctx, c, listing[OrganizationList, Organization]{
		operation: "findOrganizations",
		path:      "/organizations",
		query:     query(options),
		paged:     true,
		items:     func(l *OrganizationList) ([]Organization, *Meta) { return l.Organizations, l.Meta },
		id:        func(o *Organization) string { return o.ID },
	})
}
