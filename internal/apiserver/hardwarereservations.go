package apiserver

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/packetyard/packetyard/internal/apiserver/hardware"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func hardwareReservationRoutes() []Route {
	return []Route{
		{http.MethodGet, "/projects/{id}/hardware-reservations", "findProjectHardwareReservations", (*API).listHardwareReservations, ofProject},
		{http.MethodGet, "/hardware-reservations/{id}", "findHardwareReservationById", (*API).getHardwareReservation, ofHardwareReservation},
		{http.MethodPost, "/hardware-reservations/{id}/move", "moveHardwareReservation", (*API).moveHardwareReservation, ofHardwareReservation},
		{http.MethodPost, "/hardware-reservations/{id}/activate", "activateHardwareReservation", (*API).activateHardwareReservation, ofHardwareReservation},
	}
}

func ofHardwareReservation(s *store.Snapshot, id string) (owner, bool) {
	row, ok := s.HardwareReservations.Get(id)
	if !ok {
		return owner{}, false
	}
	return owner{project: row.Value.ProjectID}, true
}

func hardwareReservations(s *store.Snapshot) *store.Table[store.HardwareReservation] {
	return &s.HardwareReservations
}

// The values of the filter state.
const (
	reservationActive        = "active"
	reservationSpare         = "spare"
	reservationNeedOfService = "need_of_service"
)

func (a *API) listHardwareReservations(r *request) (response, error) {
	var p problems
	state, provisionable := r.query.Get("state"), r.query.Get("provisionable")
	p.unless("state", state, reservationActive, reservationSpare, reservationNeedOfService)
	p.unless("provisionable", provisionable, "only")
	if err := p.err(); err != nil {
		return response{}, err
	}
	text, now := strings.ToLower(r.query.Get("query")), a.clock.Now()
	return answerPage(a, r, "hardware_reservations", defaultPerPage, func(s *store.Snapshot) []*store.Row[store.HardwareReservation] {
		return where(s.HardwareReservations.In(store.InProject(r.id())), func(v *store.HardwareReservation) bool {
			return (provisionable == "" || v.Provisionable(now)) && inState(v, state) && (text == "" || reservationHas(s, v, text))
		})
	}, a.encodeHardwareReservation)
}

func inState(v *store.HardwareReservation, state string) bool {
	switch state {
	case reservationSpare:
		return v.Spare
	case reservationNeedOfService:
		return v.NeedOfService
	case reservationActive:
		return !v.Spare && !v.NeedOfService
	default:
		return true
	}
}

// reservationHas looks for a text in the facility's code, the plan's and the
// project's name, the short ID, and the host name of the device.
func reservationHas(s *store.Snapshot, v *store.HardwareReservation, text string) bool {
	texts := []string{v.Facility, v.Plan, hardware.ShortID(v.ID)}
	if row, ok := s.Projects.Get(v.ProjectID); ok {
		texts = append(texts, row.Value.Name)
	}
	if row, ok := s.Devices.Get(v.DeviceID); ok {
		texts = append(texts, row.Value.Hostname)
	}
	return strings.Contains(strings.ToLower(strings.Join(texts, "\n")), text)
}

func (a *API) getHardwareReservation(r *request) (response, error) {
	return a.answerHardwareReservation(r, http.StatusOK, r.id())
}

func (a *API) answerHardwareReservation(r *request, status int, id string) (response, error) {
	return answerRow(a, r, status, hardwareReservations, id, a.encodeHardwareReservation)
}

// encodeHardwareReservation shows a reserved server. What it shows is never
// kept: whether a device can be put on the server changes with time alone.
func (a *API) encodeHardwareReservation(_ *store.Snapshot, row *store.Row[store.HardwareReservation]) ([]byte, error) {
	return json.Marshal(a.hardwareReservation(row.Value))
}

// shownReservation is a reserved server as a client sees it: what is false is
// said too, and the device is a reference.
type shownReservation struct {
	packet.HardwareReservation
	Provisionable bool         `json:"provisionable"`
	Spare         bool         `json:"spare"`
	NeedOfService bool         `json:"need_of_service"`
	Device        *packet.Href `json:"device,omitempty"`
}

func (a *API) hardwareReservation(v *store.HardwareReservation) *shownReservation {
	shown := &shownReservation{
		HardwareReservation: packet.HardwareReservation{
			ID:         v.ID,
			ShortID:    hardware.ShortID(v.ID),
			Href:       href("hardware-reservations", v.ID),
			CustomRate: v.CustomRate,
			SwitchUUID: hardware.SwitchID(v.Facility),
			Project:    &packet.Project{Href: href("projects", v.ProjectID)},
			CreatedAt:  packet.NewTimestamp(v.CreatedAt),
		},
		Provisionable: v.Provisionable(a.clock.Now()),
		Spare:         v.Spare,
		NeedOfService: v.NeedOfService,
	}
	if v.DeviceID != "" {
		shown.Device = reference("devices", v.DeviceID)
	}
	if v.TerminationTime != nil {
		shown.TerminationTime = packet.NewTimestamp(*v.TerminationTime)
	}
	if plan, ok := a.catalogue.Plan(v.Plan); ok {
		brief := plan.Plan
		brief.AvailableIn, brief.AvailableInMetros = nil, nil
		shown.Plan = &brief
	}
	shown.Facility, _ = a.catalogue.Facility(v.Facility)
	return shown
}

// moveHardwareReservation gives a server to another project, which the one
// who asks must be allowed to change too.
func (a *API) moveHardwareReservation(r *request) (response, error) {
	var input struct {
		ProjectID string `json:"project_id"`
	}
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	if input.ProjectID == "" {
		return response{}, refuse(http.StatusUnprocessableEntity, "project_id can't be blank: it is the ID of the project to move the reservation to")
	}
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.HardwareReservations.Get(r.id())
		if !ok {
			return errNotFound()
		}
		_, ok = tx.Projects.Get(input.ProjectID)
		if !ok || !r.viewer().mayProject(tx.Snapshot, input.ProjectID) {
			return refuse(http.StatusUnprocessableEntity, "project_id %q is no project of yours", input.ProjectID)
		}
		if row.Value.DeviceID != "" {
			return refuse(http.StatusUnprocessableEntity, "Cannot move a hardware reservation while device %s is on it", row.Value.DeviceID)
		}
		// The project must not be deleted at the same time.
		tx.Enter(store.InProject(input.ProjectID))
		moved := *row.Value
		moved.ProjectID = input.ProjectID
		tx.HardwareReservations.Update(tx, row, &moved)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return a.answerHardwareReservation(r, http.StatusCreated, r.id())
}

// activateHardwareReservation puts a spare server into service.
func (a *API) activateHardwareReservation(r *request) (response, error) {
	var input struct {
		Description string `json:"description"`
	}
	if err := r.decodeOptional(&input); err != nil {
		return response{}, err
	}
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.HardwareReservations.Get(r.id())
		if !ok {
			return errNotFound()
		}
		if !row.Value.Spare {
			return refuse(http.StatusUnprocessableEntity, "Only spare hardware reservations can be activated, and %s is in service", row.Value.ID)
		}
		active := *row.Value
		active.Spare = false
		active.Description = input.Description
		tx.HardwareReservations.Update(tx, row, &active)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return a.answerHardwareReservation(r, http.StatusCreated, r.id())
}

// decodeOptional is decode for a body that may be left out.
func (r *request) decodeOptional(into any) error {
	if r.http.ContentLength == 0 {
		return nil
	}
	return r.decode(into)
}
