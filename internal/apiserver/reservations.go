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
		{http.MethodGet, "/projects/{project_id}/ips/{id}/customdata", "findIPReservationCustomdata", (*API).getReservationCustomData, ofProject},
		{http.MethodGet, "/ips/{id}", "findIPAddressById", (*API).getIP, ofAddress},
		{http.MethodPatch, "/ips/{id}", "updateIPAddress", (*API).updateIP, ofAddress},
		{http.MethodDelete, "/ips/{id}", "deleteIPAddress", (*API).deleteIP, ofAddress},
		{http.MethodGet, "/ips/{id}/available", "findIPAvailabilities", (*API).listAvailable, ofAddress},
		{http.MethodGet, "/ips/{id}/customdata", "findIPAddressCustomdata", (*API).getIPCustomData, ofAddress},
		{http.MethodGet, "/devices/{id}/ips", "findIPAssignments", (*API).listDeviceIPs, ofDevice},
		{http.MethodPost, "/devices/{id}/ips", "createIPAssignment", (*API).assignIP, ofDevice},
		{http.MethodGet, "/devices/{instance_id}/ips/{id}/customdata", "findIPAssignmentCustomdata", (*API).getAssignmentCustomData, ofDevice},
	}
}

// addressQuota is how many elastic addresses of a kind a project may hold
// before somebody has to approve more.
const addressQuota = 256

// reservable is what can be reserved of one type of address.
type reservable struct {
	pool addresses.Pool
	// most is the largest quantity.
	most int
	// counted are the types whose addresses share a quota with this one.
	counted []string
}

// reservableTypes is in the order in which errors list the types.
func reservableTypes() []string {
	return []string{packet.IPTypePublicIPv4, packet.IPTypeGlobalIPv4, packet.IPTypePrivateIPv4, packet.IPTypePublicIPv6}
}

// reservableOf says what can be reserved of a type, and what of an unknown one
// if it were public.
func reservableOf(kind string) reservable {
	public := reservable{addresses.Public(), 256, []string{packet.IPTypePublicIPv4, packet.IPTypeGlobalIPv4}}
	switch kind {
	case packet.IPTypeGlobalIPv4:
		public.most = 4
		return public
	case packet.IPTypePrivateIPv4:
		return reservable{addresses.ElasticPrivate(), 128, []string{kind}}
	case packet.IPTypePublicIPv6:
		return reservable{addresses.ElasticIPv6(), 256, []string{kind}}
	default:
		return public
	}
}

func (a *API) listProjectIPs(r *request) (response, error) {
	types := append(commaList(r.query.Get("types")), r.query["types[]"]...)
	// packngo's documentation and its users ask for one type in the singular.
	types = append(types, r.query["type"]...)
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
		vrfSubnet
	}
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	projectID := r.id()
	if input.Type == packet.IPTypeVRF {
		return a.createVRFReservation(r, input.IPReservationCreate, input.vrfSubnet)
	}

	var p problems
	if input.Type == "" {
		p.add("type can't be blank: it is one of %s, %s", strings.Join(reservableTypes(), ", "), packet.IPTypeVRF)
	}
	p.unless("type", input.Type, append(reservableTypes(), packet.IPTypeVRF)...)
	wanted := reservableOf(input.Type)
	p.quantity(int(input.Quantity), wanted.most)
	p.customData(input.CustomData)
	reservation := store.Reservation{
		ID:         uuid.NewString(),
		ProjectID:  projectID,
		Type:       input.Type,
		Quantity:   int(input.Quantity),
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
		// Old clients send an empty facility with the metro.
		if facility != nil && slices.ContainsFunc(input.Facility, func(code string) bool { return code != "" }) {
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
		created := reservation
		if held := heldAddresses(tx.Snapshot, projectID, wanted.counted); held+created.Quantity > addressQuota {
			if input.FailOnApprovalRequired {
				return refuse(http.StatusUnprocessableEntity,
					"quantity %d is over the project's quota, which takes approval: it holds %d of %d addresses of type %s",
					created.Quantity, held, addressQuota, strings.Join(wanted.counted, " and "))
			}
			created.State = packet.IPStatePending
			tx.Reservations.Create(tx, &created)
			return nil
		}
		// Two requests must not share what is left of the quota.
		tx.Projects.Update(tx, project, project.Value)
		return a.allot(tx, choice, project, &created)
	})
	if err != nil {
		return response{}, err
	}
	answer, err := a.answerIP(r, http.StatusCreated, reservation.ID)
	answer.location = href("ips", reservation.ID)
	return answer, err
}

// allot finds the block of a new reservation. The first one in a metro gives
// the project its own blocks there too.
func (a *API) allot(tx *store.Tx, choice *addresses.Choice, project *store.Row[store.Project], reservation *store.Reservation) error {
	pool := reservableOf(reservation.Type).pool
	length := pool.Range.Addr().BitLen() - bits.TrailingZeros(uint(reservation.Quantity))
	block, err := choice.Reserve(pool, length, tx)
	if err != nil {
		return noAddresses(err)
	}
	tx.RequireFreeBlock(block, pool.Coarsest)
	reservation.State, reservation.Quantity, reservation.Block = "", 0, block
	tx.Reservations.Create(tx, reservation)
	if reservation.Metro == "" {
		return nil
	}
	return a.useMetro(tx, choice, project, metroUse{reservation.Metro, reservation.CreatedBy, reservation.CreatedAt})
}

// heldAddresses counts the elastic addresses of some types that a project has.
func heldAddresses(s *store.Snapshot, projectID string, types []string) int {
	held := 0
	for _, row := range s.Reservations.In(store.InProject(projectID)) {
		if v := row.Value; !v.Management && v.Block.IsValid() && slices.Contains(types, v.Type) {
			held += 1 << (v.Block.Addr().BitLen() - v.Block.Bits())
		}
	}
	return held
}

// quantity checks a number of addresses, of which a block has a power of two.
func (p *problems) quantity(quantity, most int) {
	if quantity >= 1 && quantity <= most && bits.OnesCount(uint(quantity)) == 1 {
		return
	}
	var allowed []string
	for size := 1; size <= most; size *= 2 {
		allowed = append(allowed, strconv.Itoa(size))
	}
	p.add("quantity %d is not one of: %s", quantity, strings.Join(allowed, ", "))
}

// flexibleInt is a number that some clients send as a string.
type flexibleInt int

// UnmarshalJSON implements json.Unmarshaler.
func (i *flexibleInt) UnmarshalJSON(data []byte) error {
	number, err := strconv.Atoi(strings.Trim(string(data), `"`))
	if err != nil {
		return fmt.Errorf("quantity %.40s is not a whole number", data)
	}
	*i = flexibleInt(number)
	return nil
}
