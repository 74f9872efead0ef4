package packet

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
)

// APIKey is what the API calls an auth token: what lets a user, or whoever
// works for one project, in.
type APIKey struct {
	ID          string `json:"id"`
	Description string `json:"description"`
	ReadOnly    bool   `json:"read_only"`
	// Token is the secret. The API gives it once, in the answer to the request
	// that makes the key. No method of APIKey shows it.
	Token string `json:"token,omitempty"`
	// Project is set for the key of a project, User for that of a user.
	Project   *Project   `json:"project,omitempty"`
	User      *User      `json:"user,omitempty"`
	CreatedAt *Timestamp `json:"created_at,omitempty"`
	UpdatedAt *Timestamp `json:"updated_at,omitempty"`
}

// String shows everything but the token.
func (k APIKey) String() string {
	token := "none"
	if k.Token != "" {
		token = redacted
	}
	return fmt.Sprintf("{id: %s, description: %q, readOnly: %t, token: %s}", k.ID, k.Description, k.ReadOnly, token)
}

// GoString implements fmt.GoStringer, so that %#v shows no token either.
func (k APIKey) GoString() string { return "packet.APIKey" + k.String() }

// LogValue implements slog.LogValuer.
func (k APIKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// APIKeyList is the answer to listing keys, which has no pages.
type APIKeyList struct {
	APIKeys []APIKey `json:"api_keys"`
}

// APIKeyCreate is a new key (createAPIKey, createProjectAPIKey).
type APIKeyCreate struct {
	Description string `json:"description,omitempty"`
	// ReadOnly keys may ask for everything and change nothing.
	ReadOnly bool `json:"read_only,omitempty"`
}

// ProjectAPIKeys lists a project's keys, without their secrets.
func (c *Client) ProjectAPIKeys(ctx context.Context, projectID string) ([]APIKey, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	return listAll(ctx, c, listing[APIKeyList, APIKey]{
		operation: "findProjectAPIKeys",
		path:      "/projects/" + projectID + "/api-keys",
		items:     func(l *APIKeyList) ([]APIKey, *Meta) { return l.APIKeys, nil },
		id:        apiKeyID,
	})
}

// CreateProjectAPIKey makes a key that is good for one project. The answer is
// the only one that has its secret.
func (c *Client) CreateProjectAPIKey(ctx context.Context, projectID string, create APIKeyCreate) (*APIKey, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	return send(ctx, c, request{
		operation: "createProjectAPIKey", method: http.MethodPost, path: "/projects/" + projectID + "/api-keys", body: create,
	}, apiKeyID)
}

// CreateAPIKey makes a key that is good for all that its user may do. The
// answer is the only one that has its secret.
func (c *Client) CreateAPIKey(ctx context.Context, create APIKeyCreate) (*APIKey, error) {
	return send(ctx, c, request{operation: "createAPIKey", method: http.MethodPost, path: "/user/api-keys", body: create}, apiKeyID)
}

// DeleteAPIKey makes a key, of a user or a project, useless at once.
func (c *Client) DeleteAPIKey(ctx context.Context, id string) error {
	if err := checkID("API key", id); err != nil {
		return err
	}
	return c.do(ctx, request{operation: "deleteAPIKey", method: http.MethodDelete, path: "/api-keys/" + id})
}

func apiKeyID(k *APIKey) string { return k.ID }
