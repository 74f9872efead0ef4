package apiserver

import (
	"fmt"
	"math/bits"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func addressRoutes() []Route {
	return []Route{
		{http.MethodGet, "/projects/{id}/ips", "findIPReservations", (*API).listProjectIPs, ofProject},
		{http.MethodPost, "/projects/{id}/ips", "requestIPReservation", (*API).createReservation, ofProject},
		{http.MethodGet, "/ips/{id}", "findIPAddressById", (*API).getIP, ofAddress},
		{http.MethodDelete, "/ips/{id}", "deleteIPAddress", (*API).deleteIP, ofAddress},
		{http.MethodGet, "/devices/{id}/ips", "findIPAssignments", (*API).listDeviceIPs, ofDevice},
		{http.MethodPost, "/devices/{id}/ips", "createIPAssignment", (*API).assignIP, ofDevice},
	}
}

// addressQuota is how many elastic addresses a project may hold. More took a
// person to approve.
const addressQuota = 256

func (a *API) listProjectIPs(r *request) (response, error) {
	types := append(commaList(r.query.Get("types")), r.query["types[]"]...)
	return answerPage(a, r, "ip_addresses", defaultIPsPerPage, func(s *store.Snapshot) []*store.Row[store.Reservation] {
		rows := s.Reservations.In(store.InProject(r.id()))
		if len(types) == 0 {
			return rows
		}
		return where(rows, func(reservation *store.Reservation) bool { return slices.Contains(types, reservation.Type) })
	}, a.encodeReservation)
}

func (a *API) createReservation(r *request) (response, error) {
	// Terraform's client writes the quantity as a number, others as a string.
	var input struct {
		packet.IPReservationCreate
		Quantity flexibleInt          `json:"quantity"`
		Facility packet.FacilityCodes `json:"facility"`
	}
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	projectID := r.id()
	if err := a.mustExist(r.ctx, projectID); err != nil {
		return response{}, err
	}

	var p problems
	elastic := []string{packet.IPTypePublicIPv4, packet.IPTypeGlobalIPv4}
	if input.Type == "" {
		p.add("type can't be blank: it is one of %s", strings.Join(elastic, ", "))
	}
	p.unless("type", input.Type, elastic...)
	length := p.quantity(int(input.Quantity))
	p.customData(input.CustomData)
	reservation := &store.Reservation{
		ID:         uuid.NewString(),
		ProjectID:  projectID,
		Type:       input.Type,
		Details:    input.Details,
		Tags:       input.Tags,
		CustomData: objectOnly(input.CustomData),
		CreatedBy:  r.token.UserID,
		CreatedAt:  a.clock.Now(),
	}
	if input.Type != packet.IPTypeGlobalIPv4 {
		metro, facility := a.location(&p, input.Metro, input.Facility)
		if metro != nil {
			reservation.Metro = metro.Code
		}
		if facility != nil && len(input.Facility) > 0 {
			reservation.Facility = facility.Code
		}
	}
	if err := p.err(); err != nil {
		return response{}, err
	}

	choice := a.allocator.Choose()
	defer choice.Release()
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		choice.Release()
		project, ok := tx.Projects.Get(projectID)
		if !ok {
			return errNotFound()
		}
		if held := elasticAddresses(tx.Snapshot, projectID); held+int(input.Quantity) > addressQuota {
			return refuse(http.StatusUnprocessableEntity,
				"quantity %d is over the project's quota: it holds %d of %d addresses, and nobody is there to approve more",
				input.Quantity, held, addressQuota)
		}
		// Two requests must not share what is left of the quota.
		tx.Projects.Update(tx, project, project.Value)
		block, err := choice.Next(addresses.Public(), length, tx.BlockTaken)
		if err != nil {
			return noAddresses(err)
		}
		tx.RequireFreeBlock(block, addresses.Public().Coarsest)
		reservation.Block = block
		tx.Reservations.Create(tx, reservation)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	answer, err := a.answerIP(r, http.StatusCreated, reservation.ID)
	answer.location = href("ips", reservation.ID)
	return answer, err
}

func elasticAddresses(s *store.Snapshot, projectID string) int {
	held := 0
	for _, row := range s.Reservations.In(store.InProject(projectID)) {
		if !row.Value.Management {
			held += 1 << (row.Value.Block.Addr().BitLen() - row.Value.Block.Bits())
		}
	}
	return held
}

// quantity gives the length of the block that has a number of addresses.
func (p *problems) quantity(quantity int) int {
	if quantity < 1 || quantity > 256 || bits.OnesCount(uint(quantity)) != 1 {
		p.add("quantity %d is not one of: 1, 2, 4, 8, 16, 32, 64, 128, 256", quantity)
		return 0
	}
	return 32 - bits.TrailingZeros(uint(quantity))
}

// flexibleInt is a number that some clients send as a string.
type flexibleInt int

// UnmarshalJSON implements json.Unmarshaler.
func (i *flexibleInt) UnmarshalJSON(data []byte) error {
	number, err := strconv.Atoi(strings.Trim(string(data), `"`))
	if err != nil {
		return fmt.Errorf("quantity %s is not a whole number", data)
	}
	*i = flexibleInt(number)
	return nil
}

func (a *API) getIP(r *request) (response, error) {
	return a.answerIP(r, http.StatusOK, r.id())
}

// answerIP shows a reservation or an assignment: both are known as IPs, and
// an ID says which.
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
		if reservation.Value.Management {
			return refuse(http.StatusUnprocessableEntity,
				"IP Reservation %s is what devices have their own addresses from, and goes with the last of them", reservation.Value.Block)
		}
		tx.Reservations.Delete(tx, reservation)
		tx.DeleteAssignmentsIn(reservation.Value.Block)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return noContent()
}
