package apiserver

import (
	"net/http"
	"regexp"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/bgp"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func bgpRoutes() []Route {
	return []Route{
		{http.MethodGet, "/projects/{id}/bgp-config", "findBgpConfigByProject", (*API).getBGPConfig, ofProject},
		{http.MethodPost, "/projects/{id}/bgp-configs", "requestBgpConfig", (*API).requestBGPConfig, ofProject},
		{http.MethodGet, "/devices/{id}/bgp/sessions", "findBgpSessions", (*API).listDeviceBGPSessions, ofDevice},
		{http.MethodPost, "/devices/{id}/bgp/sessions", "createBgpSession", (*API).createBGPSession, ofDevice},
		{http.MethodGet, "/projects/{id}/bgp/sessions", "findProjectBgpSessions", (*API).listProjectBGPSessions, ofProject},
		{http.MethodGet, "/bgp/sessions/{id}", "findBgpSessionById", (*API).getBGPSession, ofBGPSession},
		{http.MethodDelete, "/bgp/sessions/{id}", "deleteBgpSession", (*API).deleteBGPSession, ofBGPSession},
		{http.MethodGet, "/devices/{id}/bgp/neighbors", "getBgpNeighborData", (*API).listBGPNeighbors, ofDevice},
	}
}

// localASN is what projects with local BGP have where they ask for none.
const localASN = 65000

// getBGPConfig answers also where none was asked for, as the service did:
// then it has no ID.
func (a *API) getBGPConfig(r *request) (answer response, err error) {
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		if _, ok := s.Projects.Get(r.id()); !ok {
			return errNotFound()
		}
		shown := packet.BGPConfig{
			Href:      href("projects", r.id()) + "/bgp-config",
			Status:    packet.BGPDisabled,
			MaxPrefix: bgp.MaxPrefix,
			Project:   reference("projects", r.id()),
		}
		if row, ok := s.BGPConfigs.Get(r.id()); ok {
			shown.ID = row.Value.ID
			shown.Status = row.Value.Status
			shown.DeploymentType = row.Value.DeploymentType
			shown.ASN = row.Value.ASN
			shown.CreatedAt = packet.NewTimestamp(row.Value.CreatedAt)
			shown.RequestedAt = shown.CreatedAt
			if row.Value.MD5 != "" {
				shown.MD5 = &row.Value.MD5
			}
			for _, session := range s.BGPSessions.In(store.InProject(r.id())) {
				shown.Sessions = append(shown.Sessions, *bgpSession(session.Value))
			}
		}
		answer, err = encode(http.StatusOK, &shown)
		return err
	})
	return answer, err
}

var md5Pattern = regexp.MustCompile(`^[A-Za-z0-9]{10,20}$`)

func (a *API) requestBGPConfig(r *request) (response, error) {
	var input packet.BGPConfigRequest
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	var p problems
	if input.DeploymentType == "" {
		p.add("deployment_type can't be blank: it is one of %s, %s", packet.BGPLocal, packet.BGPGlobal)
	}
	p.unless("deployment_type", input.DeploymentType, packet.BGPLocal, packet.BGPGlobal)
	if input.ASN == 0 && input.DeploymentType == packet.BGPLocal {
		input.ASN = localASN
	}
	if input.ASN < 1 || input.ASN > 1<<32-1 {
		p.add("asn %d is not from 1 to 4294967295", input.ASN)
	}
	if input.MD5 != "" && !md5Pattern.MatchString(input.MD5) {
		p.add("md5 must have 10 to 20 letters and digits")
	}
	if err := p.err(); err != nil {
		return response{}, err
	}

	status := packet.BGPEnabled
	if input.DeploymentType == packet.BGPGlobal {
		status = packet.BGPRequested
	}
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		if _, ok := tx.Projects.Get(r.id()); !ok {
			return errNotFound()
		}
		config := &store.BGPConfig{
			ID:             uuid.NewString(),
			ProjectID:      r.id(),
			DeploymentType: input.DeploymentType,
			ASN:            input.ASN,
			MD5:            input.MD5,
			Status:         status,
			CreatedAt:      a.clock.Now(),
		}
		row, ok := tx.BGPConfigs.Get(r.id())
		if !ok {
			tx.BGPConfigs.Create(tx, config)
			return nil
		}
		// Whoever asks again for the same may have lost the first answer.
		config.ID, config.CreatedAt = row.Value.ID, row.Value.CreatedAt
		if *config != *row.Value {
			return refuse(http.StatusUnprocessableEntity, "The project has a BGP config already: %s, asn %d",
				row.Value.DeploymentType, row.Value.ASN)
		}
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return noContent()
}

func (a *API) createBGPSession(r *request) (answer response, err error) {
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

	session := &store.BGPSession{
		ID:            uuid.NewString(),
		DeviceID:      r.id(),
		AddressFamily: input.AddressFamily,
		DefaultRoute:  input.DefaultRoute,
		CreatedAt:     a.clock.Now(),
	}
	err = a.store.Update(r.ctx, func(tx *store.Tx) error {
		device, ok := tx.Devices.Get(r.id())
		if !ok {
			return errNotFound()
		}
		config, ok := tx.BGPConfigs.Get(device.Value.ProjectID)
		if !ok || config.Value.Status != packet.BGPEnabled {
			return refuse(http.StatusUnprocessableEntity, "BGP is not enabled for the device's project: ask for it with POST /projects/%s/bgp-configs",
				device.Value.ProjectID)
		}
		for _, row := range tx.BGPSessions.In(store.OfDevice(r.id())) {
			if row.Value.AddressFamily == input.AddressFamily {
				return refuse(http.StatusUnprocessableEntity, "Address family %s already has session", input.AddressFamily)
			}
		}
		tx.Devices.Require(tx, device)
		session.ProjectID = device.Value.ProjectID
		tx.BGPSessions.Create(tx, session)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	answer, err = encode(http.StatusCreated, bgpSession(session))
	answer.location = href("bgp/sessions", session.ID)
	return answer, err
}

func (a *API) listDeviceBGPSessions(r *request) (response, error) {
	return a.answerBGPSessions(r, store.OfDevice(r.id()), func(s *store.Snapshot) bool {
		_, ok := s.Devices.Get(r.id())
		return ok
	})
}

func (a *API) listProjectBGPSessions(r *request) (response, error) {
	return a.answerBGPSessions(r, store.InProject(r.id()), func(s *store.Snapshot) bool {
		_, ok := s.Projects.Get(r.id())
		return ok
	})
}

func (a *API) answerBGPSessions(r *request, group string, exists func(*store.Snapshot) bool) (answer response, err error) {
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		if !exists(s) {
			return errNotFound()
		}
		elements, err := encodeRows(s.BGPSessions.In(group), bgpSession)
		if err != nil {
			return err
		}
		body, err := list("bgp_sessions", elements, nil)
		answer = response{status: http.StatusOK, body: body}
		return err
	})
	return answer, err
}

func (a *API) getBGPSession(r *request) (answer response, err error) {
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		row, ok := s.BGPSessions.Get(r.id())
		if !ok {
			return errNotFound()
		}
		body, err := encodeRow(row, bgpSession)
		answer = response{status: http.StatusOK, body: body}
		return err
	})
	return answer, err
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

func (a *API) listBGPNeighbors(r *request) (answer response, err error) {
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		device, ok := s.Devices.Get(r.id())
		if !ok {
			return errNotFound()
		}
		answer, err = encode(http.StatusOK, packet.BGPNeighborList{BGPNeighbors: bgp.Neighbors(s, device.Value)})
		return err
	})
	return answer, err
}

func bgpSession(v *store.BGPSession) *packet.BGPSession {
	return &packet.BGPSession{
		ID:            v.ID,
		Href:          href("bgp/sessions", v.ID),
		AddressFamily: v.AddressFamily,
		// No switch of this server speaks BGP yet.
		Status:        "unknown",
		DefaultRoute:  v.DefaultRoute,
		LearnedRoutes: []string{},
		Device:        reference("devices", v.DeviceID),
		CreatedAt:     packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:     packet.NewTimestamp(v.CreatedAt),
	}
}
