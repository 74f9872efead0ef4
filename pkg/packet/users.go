package packet

import (
	"context"
	"encoding/json"
)

// User is a person who uses the API.
type User struct {
	ID                    string          `json:"id,omitempty"`
	Href                  string          `json:"href,omitempty"`
	ShortID               string          `json:"short_id,omitempty"`
	Email                 string          `json:"email,omitempty"`
	FirstName             string          `json:"first_name,omitempty"`
	LastName              string          `json:"last_name,omitempty"`
	FullName              string          `json:"full_name,omitempty"`
	PhoneNumber           string          `json:"phone_number,omitempty"`
	Timezone              string          `json:"timezone,omitempty"`
	DefaultOrganizationID string          `json:"default_organization_id,omitempty"`
	DefaultProjectID      string          `json:"default_project_id,omitempty"`
	CustomData            json.RawMessage `json:"customdata,omitempty"`
	CreatedAt             *Timestamp      `json:"created_at,omitempty"`
	UpdatedAt             *Timestamp      `json:"updated_at,omitempty"`
}

// UserList is the answer to listing users.
type UserList struct {
	Users []User `json:"users"`
	Meta  *Meta  `json:"meta,omitempty"`
}

// UserUpdate changes what is not nil of the token's user (updateCurrentUser).
type UserUpdate struct {
	FirstName   *string         `json:"first_name,omitempty"`
	LastName    *string         `json:"last_name,omitempty"`
	PhoneNumber *string         `json:"phone_number,omitempty"`
	Timezone    *string         `json:"timezone,omitempty"`
	CustomData  json.RawMessage `json:"customdata,omitempty"`
	// Password is for servers that let users in by one.
	Password *string `json:"password,omitempty"`
}

// CurrentUser reads the user whom the token belongs to.
func (c *Client) CurrentUser(ctx context.Context) (*User, error) {
	return get(ctx, c, "findCurrentUser", "/user", nil, func(u *User) string { return u.ID })
}

// UserdataValidation is user data to be checked (validateUserdata).
type UserdataValidation struct {
	Userdata string `json:"userdata"`
}
