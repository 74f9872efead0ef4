package apiserver

import (
	"net/http"

	"github.com/packetyard/packetyard/internal/apiserver/hardware"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func userRoutes() []Route {
	return []Route{
		{http.MethodGet, "/user", "findCurrentUser", (*API).getUser, nil},
	}
}

// getUser shows the user whose token the request was sent with.
func (a *API) getUser(r *request) (answer response, err error) {
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		row, ok := s.Users.Get(r.token.UserID)
		if !ok {
			return errNotFound()
		}
		body, err := encodeRow(row, user)
		answer = response{status: http.StatusOK, body: body}
		return err
	})
	return answer, err
}

func user(v *store.User) *packet.User {
	return &packet.User{
		ID:                    v.ID,
		Href:                  href("users", v.ID),
		ShortID:               hardware.ShortID(v.ID),
		Email:                 v.Email,
		FirstName:             v.FirstName,
		LastName:              v.LastName,
		FullName:              v.FirstName + " " + v.LastName,
		DefaultOrganizationID: v.OrganizationID,
		CreatedAt:             packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:             packet.NewTimestamp(v.CreatedAt),
	}
}

func userLite(v *store.User) *packet.UserLite {
	return &packet.UserLite{
		ID:        v.ID,
		Href:      href("users", v.ID),
		ShortID:   hardware.ShortID(v.ID),
		FullName:  v.FirstName + " " + v.LastName,
		Email:     v.Email,
		CreatedAt: packet.NewTimestamp(v.CreatedAt),
		UpdatedAt: packet.NewTimestamp(v.CreatedAt),
	}
}
