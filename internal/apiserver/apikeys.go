package apiserver

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func apiKeyRoutes() []Route {
	return []Route{
		{http.MethodGet, "/user/api-keys", "findAPIKeys", (*API).listUserAPIKeys, nil},
		{http.MethodPost, "/user/api-keys", "createAPIKey", (*API).createUserAPIKey, nil},
		{http.MethodDelete, "/user/api-keys/{id}", "deleteUserAPIKey", (*API).deleteAPIKey, ofAPIKey},
		{http.MethodGet, "/projects/{id}/api-keys", "findProjectAPIKeys", (*API).listProjectAPIKeys, ofProject},
		{http.MethodPost, "/projects/{id}/api-keys", "createProjectAPIKey", (*API).createProjectAPIKey, ofProject},
		{http.MethodDelete, "/api-keys/{id}", "deleteAPIKey", (*API).deleteAPIKey, ofAPIKey},
	}
}

func ofAPIKey(s *store.Snapshot, id string) (owner, bool) {
	row, ok := tokenWithID(s, id)
	switch {
	case !ok:
		return owner{}, false
	case row.Value.ProjectID != "":
		return owner{project: row.Value.ProjectID}, true
	default:
		return owner{user: row.Value.UserID}, true
	}
}

func tokenWithID(s *store.Snapshot, id string) (*store.Row[store.Token], bool) {
	rows := s.Tokens.In(store.WithTokenID(id))
	if len(rows) == 0 {
		return nil, false
	}
	return rows[0], true
}

func (a *API) listUserAPIKeys(r *request) (response, error) {
	if err := r.mustBeUser(); err != nil {
		return response{}, err
	}
	return a.answerAPIKeys(r, store.OfUser(r.token.UserID))
}

func (a *API) listProjectAPIKeys(r *request) (response, error) {
	return a.answerAPIKeys(r, store.InProject(r.id()))
}

func (a *API) answerAPIKeys(r *request, group string) (response, error) {
	search := strings.ToLower(r.query.Get("search"))
	return answerAll(a, r, "api_keys", func(s *store.Snapshot) []*store.Row[store.Token] {
		return where(s.Tokens.In(group), func(v *store.Token) bool {
			return strings.Contains(strings.ToLower(v.Description), search)
		})
	}, plain(apiKey))
}

func (a *API) createUserAPIKey(r *request) (response, error) {
	return a.addAPIKey(r, "")
}

func (a *API) createProjectAPIKey(r *request) (response, error) {
	return a.addAPIKey(r, r.id())
}

// addAPIKey makes a key of a user, or of a project where that is given. A
// project's key must not: whoever lost it could not take back what was made
// with it.
func (a *API) addAPIKey(r *request, projectID string) (response, error) {
	if err := r.mustBeUser(); err != nil {
		return response{}, err
	}
	var input packet.APIKeyCreate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	secret := rand.Text()
	token := &store.Token{
		Hash:        hashToken(secret),
		ID:          uuid.NewString(),
		UserID:      r.token.UserID,
		ProjectID:   projectID,
		ReadOnly:    input.ReadOnly,
		Description: input.Description,
		CreatedAt:   a.clock.Now(),
	}
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		// The key that asks may be deleted in the meantime, and must then not
		// leave another behind.
		asking, ok := tx.Tokens.Get(r.token.Hash)
		if !ok {
			return errUnauthorized()
		}
		if _, ok := tx.Projects.Get(projectID); projectID != "" && !ok {
			return errNotFound()
		}
		tx.Tokens.Require(tx, asking)
		tx.Tokens.Create(tx, token)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	// This once the secret is told; it is not in the store.
	shown := apiKey(token)
	shown.Token = secret
	answer, err := a.answerValue(r, http.StatusCreated, shown)
	answer.location = href("api-keys", token.ID)
	return answer, err
}

// deleteAPIKey makes a key useless: the next request that is sent with it is
// refused. The path for users takes the keys of projects too, since packngo
// knows no other.
func (a *API) deleteAPIKey(r *request) (response, error) {
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tokenWithID(tx.Snapshot, r.id())
		if !ok {
			return errNotFound()
		}
		if row.Value.ID != r.token.ID {
			if err := r.mustBeUser(); err != nil {
				return err
			}
		}
		tx.Tokens.Delete(tx, row)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return noContent()
}

// apiKey is a key as the API shows it: without its secret.
func apiKey(v *store.Token) *packet.APIKey {
	shown := &packet.APIKey{
		ID:          v.ID,
		Description: v.Description,
		ReadOnly:    v.ReadOnly,
		CreatedAt:   packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:   packet.NewTimestamp(v.CreatedAt),
	}
	if v.ProjectID != "" {
		shown.Project = &packet.Project{Href: href("projects", v.ProjectID)}
	} else {
		shown.User = &packet.User{Href: href("users", v.UserID)}
	}
	return shown
}

// answerValue shows what is not in the store, as the request selects it.
func (a *API) answerValue(r *request, status int, value any) (answer response, err error) {
	body, err := json.Marshal(value)
	if err != nil {
		return response{}, err
	}
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		body, err := r.selection().apply(a, s, body)
		answer = response{status: status, body: body}
		return err
	})
	return answer, err
}
