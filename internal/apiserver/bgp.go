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
		{http.MethodGet, "/projects/{id}/global-bgp-ranges", "findGlobalBgpRanges", (*API).listBGPRanges, ofProject},
		{http.MethodGet, "/projects/{id}/bgp/sessions", "findProjectBgpSessions", (*API).listProjectBGPSessions, ofProject},
		{http.MethodGet, "/devices/{id}/bgp/sessions", "findBgpSessions", (*API).listDeviceBGPSessions, ofDevice},
		{http.MethodPost, "/devices/{id}/bgp/sessions", "createBgpSession", (*API).createBGPSession, ofDevice},
		{http.MethodGet, "/devices/{id}/bgp/neighbors", "getBgpNeighborData", (*API).listBGPNeighbors, ofDevice},
		{http.MethodGet, "/bgp/sessions/{id}", "findBgpSessionById", (*API).getBGPSession, ofBGPSession},
		{http.MethodPut, "/bgp/sessions/{id}", "updateBgpSession", (*API).updateBGPSession, ofBGPSession},
		{http.MethodDelete, "/bgp/sessions/{id}", "deleteBgpSession", (*API).deleteBGPSession, ofBGPSession},
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
		answer, err = encode(http.StatusOK, a.bgpConfig(s, r.id()))
		if err != nil {
			return err
		}
		answer.body, err = r.selection().apply(a, s, answer.body)
		return err
	})
	return answer, err
}

func (a *API) bgpConfig(s *store.Snapshot, projectID string) *packet.BGPConfig {
	shown := &packet.BGPConfig{
		Href:      href("projects", projectID) + "/bgp-config",
		Status:    packet.BGPDisabled,
		MaxPrefix: bgp.MaxPrefix,
		Project:   reference("projects", projectID),
	}
	row, ok := s.BGPConfigs.Get(projectID)
	if !ok {
		return shown
	}
	shown.ID = row.Value.ID
	shown.Status = bgp.Status(row.Value, a.profile, a.clock.Now())
	shown.DeploymentType = row.Value.DeploymentType
	shown.ASN = row.Value.ASN
	shown.CreatedAt = packet.NewTimestamp(row.Value.CreatedAt)
	shown.RequestedAt = shown.CreatedAt
	if row.Value.MD5 != "" {
		shown.MD5 = &row.Value.MD5
	}
	for _, session := range s.BGPSessions.In(store.InProject(projectID)) {
		shown.Sessions = append(shown.Sessions, *bgpSession(session.Value))
	}
	for _, block := range s.BGPRanges.In(store.InProject(projectID)) {
		shown.Ranges = append(shown.Ranges, *bgpRange(block.Value))
	}
	return shown
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

	config := store.BGPConfig{
		ID:             uuid.NewString(),
		ProjectID:      r.id(),
		DeploymentType: input.DeploymentType,
		ASN:            input.ASN,
		MD5:            input.MD5,
		UseCase:        input.UseCase,
		Status:         packet.BGPEnabled,
		CreatedAt:      a.clock.Now(),
	}
	if input.DeploymentType == packet.BGPGlobal {
		config.Status = packet.BGPRequested
	}
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		project, ok := tx.Projects.Get(r.id())
		if !ok {
			return errNotFound()
		}
		row, ok := tx.BGPConfigs.Get(r.id())
		if !ok {
			tx.Projects.Require(tx, project)
			tx.BGPConfigs.Create(tx, &config)
			return nil
		}
		// Whoever asks again for the same may have lost the first answer.
		same := row.Value.DeploymentType == config.DeploymentType && row.Value.ASN == config.ASN && row.Value.MD5 == config.MD5
		if !same {
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

// listBGPRanges lists the blocks that a project owns and may announce.
func (a *API) listBGPRanges(r *request) (response, error) {
	return answerAll(a, r, "global_bgp_ranges", func(s *store.Snapshot) []*store.Row[store.BGPRange] {
		return s.BGPRanges.In(store.InProject(r.id()))
	}, plain(bgpRange))
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

func bgpRange(v *store.BGPRange) *packet.BGPRange {
	return &packet.BGPRange{
		ID:            v.ID,
		Href:          href("global-bgp-ranges", v.ID),
		AddressFamily: family(v.Range),
		Range:         v.Range.String(),
		Project:       reference("projects", v.ProjectID),
	}
}
