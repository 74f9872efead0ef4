package apiserver

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/bgp"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func (a *API) createBGPSession(r *request) (response, error) {
	var input packet.BGPSessionCreate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	var p problems
	if input.AddressFamily == "" {
		p.add("address_family can't be blank: it is one of %s, %s", packet.BGPIPv4, packet.BGPIPv6)
	}
	p.unless("address_family", input.AddressFamily, packet.BGPIPv4, packet.BGPIPv6)
	if err := p.err(); err != nil {
		return response{}, err
	}

	now := a.clock.Now()
	session := store.BGPSession{
		ID:            uuid.NewString(),
		DeviceID:      r.id(),
		AddressFamily: input.AddressFamily,
		DefaultRoute:  input.DefaultRoute,
		CreatedAt:     now,
		UpdatedAt:     now,
	}
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		device, ok := tx.Devices.Get(r.id())
		if !ok {
			return errNotFound()
		}
		config, ok := tx.BGPConfigs.Get(device.Value.ProjectID)
		if !ok || bgp.Status(config.Value, a.profile, now) != packet.BGPEnabled {
			return refuse(http.StatusUnprocessableEntity, "BGP is not enabled for the device's project: ask for it with POST /projects/%s/bgp-configs",
				device.Value.ProjectID)
		}
		if device.Value.State == packet.StateDeprovisioning {
			return refuse(http.StatusUnprocessableEntity, "Cannot make a BGP session of a device while it is deprovisioning")
		}
		for _, row := range tx.BGPSessions.In(store.OfDevice(r.id())) {
			if row.Value.AddressFamily == input.AddressFamily {
				return refuse(http.StatusUnprocessableEntity, "Address family %s already has session", input.AddressFamily)
			}
		}
		if !bgp.CanSpeak(tx.Snapshot, device.Value, input.AddressFamily) {
			return refuse(http.StatusUnprocessableEntity, "address_family %q is not possible: the device has no address of its own for such a session",
				input.AddressFamily)
		}
		tx.Devices.Require(tx, device)
		created := session
		created.ProjectID = device.Value.ProjectID
		tx.BGPSessions.Create(tx, &created)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	answer, err := a.answerBGPSession(r, http.StatusCreated, session.ID)
	answer.location = href("bgp/sessions", session.ID)
	return answer, err
}

func (a *API) listDeviceBGPSessions(r *request) (response, error) {
	return answerAll(a, r, "bgp_sessions", func(s *store.Snapshot) []*store.Row[store.BGPSession] {
		return s.BGPSessions.In(store.OfDevice(r.id()))
	}, plain(bgpSession))
}

func (a *API) listProjectBGPSessions(r *request) (response, error) {
	return answerAll(a, r, "bgp_sessions", func(s *store.Snapshot) []*store.Row[store.BGPSession] {
		return s.BGPSessions.In(store.InProject(r.id()))
	}, plain(bgpSession))
}

func (a *API) getBGPSession(r *request) (response, error) {
	return a.answerBGPSession(r, http.StatusOK, r.id())
}

func (a *API) answerBGPSession(r *request, status int, id string) (response, error) {
	return answerRow(a, r, status, bgpSessions, id, plain(bgpSession))
}

// defaultRouteInput is the body of an update: true or false by the document,
// and an object by the clients of old.
type defaultRouteInput struct {
	value *bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *defaultRouteInput) UnmarshalJSON(data []byte) error {
	var object struct {
		DefaultRoute *bool `json:"default_route"`
	}
	if json.Unmarshal(data, &d.value) == nil && d.value != nil {
		return nil
	}
	if json.Unmarshal(data, &object) != nil || object.DefaultRoute == nil {
		return errors.New(`default_route must be true or false: the body is that alone, or {"default_route": true}`)
	}
	d.value = object.DefaultRoute
	return nil
}

func (a *API) updateBGPSession(r *request) (response, error) {
	var input defaultRouteInput
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.BGPSessions.Get(r.id())
		if !ok {
			return errNotFound()
		}
		session := *row.Value
		session.DefaultRoute = *input.value
		session.UpdatedAt = a.clock.Now()
		tx.BGPSessions.Update(tx, row, &session)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return a.answerBGPSession(r, http.StatusOK, r.id())
}

func (a *API) deleteBGPSession(r *request) (response, error) {
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.BGPSessions.Get(r.id())
		if !ok {
			return errNotFound()
		}
		tx.BGPSessions.Delete(tx, row)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return noContent()
}

func bgpSession(v *store.BGPSession) *packet.BGPSession {
	updated := v.UpdatedAt
	if updated.IsZero() {
		updated = v.CreatedAt
	}
	return &packet.BGPSession{
		ID:            v.ID,
		Href:          href("bgp/sessions", v.ID),
		AddressFamily: v.AddressFamily,
		// Every session begins so, and stays so until a switch reports.
		Status:        cmp.Or(v.Status, "unknown"),
		DefaultRoute:  v.DefaultRoute,
		LearnedRoutes: orEmpty(v.LearnedRoutes),
		Device:        reference("devices", v.DeviceID),
		CreatedAt:     packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:     packet.NewTimestamp(updated),
	}
}
