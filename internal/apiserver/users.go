package apiserver

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/packetyard/packetyard/internal/apiserver/hardware"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func userRoutes() []Route {
	return []Route{
		{http.MethodGet, "/user", "findCurrentUser", (*API).getCurrentUser, nil},
		{http.MethodPut, "/user", "updateCurrentUser", (*API).updateCurrentUser, nil},
		{http.MethodGet, "/users", "findUsers", (*API).listUsers, nil},
		{http.MethodGet, "/users/{id}", "findUserById", (*API).getUser, ofUser},
		{http.MethodGet, "/users/{id}/customdata", "findUserCustomdata", (*API).getUserCustomData, ofUser},
	}
}

// getCurrentUser shows the user whose token the request was sent with.
func (a *API) getCurrentUser(r *request) (response, error) {
	if err := r.mustBeUser(); err != nil {
		return response{}, err
	}
	return answerRow(a, r, http.StatusOK, users, r.token.UserID, plain(user))
}

func (a *API) updateCurrentUser(r *request) (response, error) {
	if err := r.mustBeUser(); err != nil {
		return response{}, err
	}
	var input packet.UserUpdate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	var p problems
	if input.FirstName != nil && strings.TrimSpace(*input.FirstName) == "" {
		p.add("first_name can't be blank")
	}
	if input.LastName != nil && strings.TrimSpace(*input.LastName) == "" {
		p.add("last_name can't be blank")
	}
	if input.Password != nil {
		p.add("password is not possible: this server lets users in by API keys alone")
	}
	p.customData(input.CustomData)
	if err := p.err(); err != nil {
		return response{}, err
	}
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.Users.Get(r.token.UserID)
		if !ok {
			return errNotFound()
		}
		user := *row.Value
		set(&user.FirstName, input.FirstName)
		set(&user.LastName, input.LastName)
		set(&user.PhoneNumber, input.PhoneNumber)
		set(&user.Timezone, input.Timezone)
		if input.CustomData != nil {
			user.CustomData = objectOnly(input.CustomData)
		}
		user.UpdatedAt = a.clock.Now()
		tx.Users.Update(tx, row, &user)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return a.getCurrentUser(r)
}

// listUsers lists all who share an organization with the user.
func (a *API) listUsers(r *request) (response, error) {
	return answerPage(a, r, "users", defaultPerPage, func(s *store.Snapshot) []*store.Row[store.User] {
		return where(s.Users.All(), func(v *store.User) bool { return r.viewer().may(s, owner{profile: v.ID}) })
	}, plain(user))
}

func (a *API) getUser(r *request) (response, error) {
	return answerRow(a, r, http.StatusOK, users, r.id(), plain(user))
}

func (a *API) getUserCustomData(r *request) (response, error) {
	return answerCustomData(a, r, users, func(v *store.User) json.RawMessage { return v.CustomData })
}

func user(v *store.User) *packet.User {
	return &packet.User{
		ID:                    v.ID,
		Href:                  href("users", v.ID),
		ShortID:               hardware.ShortID(v.ID),
		Email:                 v.Email,
		FirstName:             v.FirstName,
		LastName:              v.LastName,
		FullName:              fullName(v),
		PhoneNumber:           v.PhoneNumber,
		Timezone:              v.Timezone,
		DefaultOrganizationID: v.OrganizationID,
		CustomData:            orObject(v.CustomData),
		CreatedAt:             packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:             latest(v.CreatedAt, v.UpdatedAt),
	}
}

func userLite(v *store.User) *packet.UserLite {
	return &packet.UserLite{
		ID:        v.ID,
		Href:      href("users", v.ID),
		ShortID:   hardware.ShortID(v.ID),
		FullName:  fullName(v),
		Email:     v.Email,
		CreatedAt: packet.NewTimestamp(v.CreatedAt),
		UpdatedAt: latest(v.CreatedAt, v.UpdatedAt),
	}
}

func fullName(v *store.User) string {
	return strings.TrimSpace(v.FirstName + " " + v.LastName)
}
