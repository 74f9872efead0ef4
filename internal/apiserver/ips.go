package apiserver

import (
	"encoding/json"
	"net/http"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// What the API calls an IP is a reservation or an assignment: an ID says
// which.

func (a *API) getIP(r *request) (response, error) {
	return a.answerIP(r, http.StatusOK, r.id())
}

func (a *API) answerIP(r *request, status int, id string) (answer response, err error) {
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		body, err := a.encodeAddress(s, id)
		if err != nil {
			return err
		}
		if body == nil {
			return errNotFound()
		}
		body, err = r.selection().apply(a, s, body)
		answer = response{status: status, body: body}
		return err
	})
	return answer, err
}

// updateIP changes what a request names. Assignments to devices have custom
// data and none of the rest, which nobody could read back.
func (a *API) updateIP(r *request) (response, error) {
	var input struct {
		Details    *string         `json:"details"`
		Tags       *[]string       `json:"tags"`
		CustomData json.RawMessage `json:"customdata"`
	}
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	var p problems
	p.customData(input.CustomData)
	if err := p.err(); err != nil {
		return response{}, err
	}

	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		if row, ok := tx.Reservations.Get(r.id()); ok {
			reservation := *row.Value
			set(&reservation.Details, input.Details)
			set(&reservation.Tags, input.Tags)
			if input.CustomData != nil {
				reservation.CustomData = objectOnly(input.CustomData)
			}
			tx.Reservations.Update(tx, row, &reservation)
			return nil
		}
		row, ok := tx.Assignments.Get(r.id())
		if !ok {
			return errNotFound()
		}
		if input.Details != nil || input.Tags != nil && row.Value.MetalGatewayID == "" {
			return refuse(http.StatusUnprocessableEntity,
				"details and tags belong to IP reservations: of an assignment, customdata can be updated, and tags where a metal gateway has it")
		}
		assignment := *row.Value
		set(&assignment.Tags, input.Tags)
		if input.CustomData != nil {
			assignment.CustomData = objectOnly(input.CustomData)
		}
		tx.Assignments.Update(tx, row, &assignment)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return a.answerIP(r, http.StatusOK, r.id())
}

// deleteIP takes an address from its device, or gives a reservation back with
// all that was assigned out of it.
func (a *API) deleteIP(r *request) (response, error) {
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		if assignment, ok := tx.Assignments.Get(r.id()); ok {
			if assignment.Value.Management {
				return refuse(http.StatusUnprocessableEntity,
					"IP %s is the device's own and stays until the device is deleted", assignment.Value.Address)
			}
			tx.Assignments.Delete(tx, assignment)
			return nil
		}
		reservation, ok := tx.Reservations.Get(r.id())
		if !ok {
			return errNotFound()
		}
		return a.release(tx, reservation)
	})
	if err != nil {
		return response{}, err
	}
	return noContent()
}

// release gives a reservation back.
func (a *API) release(tx *store.Tx, row *store.Row[store.Reservation]) error {
	reservation := row.Value
	if reservation.Management {
		return refuse(http.StatusUnprocessableEntity,
			"IP Reservation %s is what devices have their own addresses from, and goes with the last of them", reservation.Block)
	}
	if tx.GatewayOf(reservation.ID) != nil {
		return refuse(http.StatusUnprocessableEntity, "IP Reservation %q error: Cannot delete with associated metal gateway", reservation.ID)
	}
	for _, assignment := range tx.Assignments.In(store.OfReservation(reservation.ID)) {
		if assignment.Value.Management {
			return refuse(http.StatusUnprocessableEntity,
				"IP Reservation %s cannot be deleted while device %s has its own address %s from it",
				reservation.Block, assignment.Value.DeviceID, assignment.Value.Address)
		}
	}
	tx.Reservations.Delete(tx, row)
	if !reservation.Block.IsValid() {
		// It never got a block.
		return nil
	}
	if reservation.VRFID == "" {
		tx.DeleteAssignmentsIn(reservation.Block)
	}
	if reservation.Metro != "" {
		leaveMetro(tx, reservation)
	}
	return nil
}

func (a *API) getIPCustomData(r *request) (response, error) {
	return a.answerIPCustomData(r, func(*store.Snapshot) bool { return true })
}

// getReservationCustomData is for reservations of the project in the path.
func (a *API) getReservationCustomData(r *request) (response, error) {
	return a.answerIPCustomData(r, func(s *store.Snapshot) bool {
		row, ok := s.Reservations.Get(r.id())
		return ok && row.Value.ProjectID == r.http.PathValue("project_id")
	})
}

// getAssignmentCustomData is for assignments of the device in the path.
func (a *API) getAssignmentCustomData(r *request) (response, error) {
	return a.answerIPCustomData(r, func(s *store.Snapshot) bool {
		row, ok := s.Assignments.Get(r.id())
		return ok && row.Value.DeviceID == r.http.PathValue("instance_id")
	})
}

func (a *API) answerIPCustomData(r *request, belongs func(*store.Snapshot) bool) (answer response, err error) {
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		var data json.RawMessage
		reservation, reserved := s.Reservations.Get(r.id())
		assignment, assigned := s.Assignments.Get(r.id())
		switch {
		case !belongs(s):
			return errNotFound()
		case reserved:
			data = reservation.Value.CustomData
		case assigned:
			data = assignment.Value.CustomData
		default:
			return errNotFound()
		}
		answer = response{status: http.StatusOK, body: orObject(data)}
		return nil
	})
	return answer, err
}

// reservationState is how the API calls the state of a reservation.
func reservationState(v *store.Reservation) string {
	if v.State == "" {
		return packet.IPStateCreated
	}
	return v.State
}
