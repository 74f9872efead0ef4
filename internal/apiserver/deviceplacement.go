package apiserver

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// nextAvailable asks for any reserved server that fits, in place of an ID.
const nextAvailable = "next-available"

// metroAny asks for whichever metro has a server.
const metroAny = "any"

// destination is where a device may go.
type destination struct {
	// metro is empty for any.
	metro string
	// facilities are those that were named, in the order of preference.
	facilities []*packet.Facility
	// anywhere adds all other places to those named.
	anywhere bool
}

// placement is where a device goes.
type placement struct {
	facility *packet.Facility
	// reservation is the reserved server, nil for one on demand.
	reservation *store.Row[store.HardwareReservation]
}

// destination reads where a device is to go. A metro counts more than
// facilities, because old clients send an empty or a stale facility with it.
func (a *API) destination(p *problems, metro string, codes packet.FacilityCodes) destination {
	var d destination
	if metro != "" && metro != metroAny {
		found, ok := a.metro(metro)
		if !ok {
			p.notOneOf("metro", metro, append([]string{metroAny}, a.catalogue.MetroCodes()...))
			return d
		}
		d.metro = found.Code
	}
	named := 0
	for _, code := range codes {
		if code == "" {
			continue
		}
		named++
		if code == packet.FacilityAny {
			d.anywhere = true
			continue
		}
		found, ok := a.catalogue.Facility(code)
		switch {
		case !ok:
			p.notOneOf("facility", code, append([]string{packet.FacilityAny}, a.catalogue.FacilityCodes()...))
		case d.metro != "" && found.Metro.Code != d.metro:
			p.add("facility %q is not in metro %q but in %q", code, d.metro, found.Metro.Code)
		default:
			d.facilities = append(d.facilities, found)
		}
	}
	if metro == "" && named == 0 {
		p.add("Facility can't be blank: give a metro (%s) or a facility (%s)",
			strings.Join(a.catalogue.MetroCodes(), ", "), strings.Join(a.catalogue.FacilityCodes(), ", "))
	}
	d.anywhere = d.anywhere || named == 0
	return d
}

// choices lists the places in the order in which they are tried: what was
// named, then one facility of each metro that is left to choose from.
func (d destination) choices(c *catalogue.Catalogue) []*packet.Facility {
	choices := slices.Clone(d.facilities)
	if !d.anywhere {
		return choices
	}
	if d.metro != "" {
		return append(choices, c.FacilityIn(d.metro))
	}
	for i := range c.Metros {
		choices = append(choices, c.FacilityIn(c.Metros[i].Code))
	}
	return choices
}

// allows tells whether a reserved server is in one of the places.
func (d destination) allows(r *store.HardwareReservation) bool {
	if d.metro != "" && d.metro != r.Metro {
		return false
	}
	return d.anywhere || slices.ContainsFunc(d.facilities, func(f *packet.Facility) bool { return f.Code == r.Facility })
}

// place finds the server for an order, and takes it with the transaction.
func (a *API) place(tx *store.Tx, project *store.Row[store.Project], o *order, now time.Time) (placement, error) {
	if o.input.HardwareReservationID != "" {
		return a.placeReserved(tx, project.Value.ID, o, now)
	}
	if err := o.withinQuota(tx, project); err != nil {
		return placement{}, err
	}
	choices := o.destination.choices(a.catalogue)
	if o.input.SpotInstance {
		var err error
		if choices, err = a.affordable(choices, o.plan, o.input.SpotPriceMax, now); err != nil {
			return placement{}, err
		}
	}
	for _, facility := range choices {
		if o.hasFeatures() && a.take(tx, o.plan.Slug, facility.Metro.Code) {
			return placement{facility: facility}, nil
		}
	}
	return placement{}, refuse(http.StatusServiceUnavailable, "%s no provisionable %s servers matching your criteria",
		o.destination.describe(choices), o.plan.Slug)
}

// describe begins the sentence that says where there is none.
func (d destination) describe(choices []*packet.Facility) string {
	if len(d.facilities) == 0 && d.metro != "" {
		return "The metro " + d.metro + " has"
	}
	if len(choices) == 1 {
		return "The facility " + choices[0].Code + " has"
	}
	if len(d.facilities) == 0 {
		return "All metros together have"
	}
	var codes []string
	for _, facility := range d.facilities {
		codes = append(codes, facility.Code)
	}
	return "The facilities " + strings.Join(codes, ", ") + " have"
}

// withinQuota refuses what is over the number of devices that a project may
// have. Reserved servers do not count.
func (o *order) withinQuota(tx *store.Tx, project *store.Row[store.Project]) error {
	most, limited := project.Value.MaxDevices[o.plan.Slug]
	if !limited {
		if most, limited = project.Value.MaxDevices[store.DefaultMaxDevices]; !limited {
			return nil
		}
	}
	held := 0
	for _, row := range tx.Devices.In(store.InProject(project.Value.ID)) {
		if row.Value.Plan == o.plan.Slug && row.Value.HardwareReservationID == "" {
			held++
		}
	}
	if held >= most {
		return refuse(http.StatusUnprocessableEntity,
			"plan %q is over the project's quota: it has %d of the %d devices that max_devices allows", o.plan.Slug, held, most)
	}
	// Two requests must not share what is left of the quota.
	tx.Projects.Update(tx, project, project.Value)
	return nil
}

func (a *API) placeReserved(tx *store.Tx, projectID string, o *order, now time.Time) (placement, error) {
	row, err := o.reservation(tx, projectID, now)
	if err != nil {
		return placement{}, err
	}
	facility, ok := a.catalogue.Facility(row.Value.Facility)
	if !ok {
		return placement{}, refuse(http.StatusServiceUnavailable, "Server is not provisionable")
	}
	return placement{facility: facility, reservation: row}, nil
}

// reservation finds the reserved server that an order asks for.
func (o *order) reservation(tx *store.Tx, projectID string, now time.Time) (*store.Row[store.HardwareReservation], error) {
	wanted := o.input.HardwareReservationID
	if wanted == nextAvailable {
		for _, row := range tx.HardwareReservations.In(store.InProject(projectID)) {
			if row.Value.Plan == o.plan.Slug && o.destination.allows(row.Value) && row.Value.Provisionable(now) && o.hasFeatures() {
				return row, nil
			}
		}
		return nil, refuse(http.StatusServiceUnavailable,
			"There are no available hardware reservations for selected plan and facility")
	}
	row, ok := tx.HardwareReservations.Get(wanted)
	if !ok || row.Value.ProjectID != projectID {
		return nil, refuse(http.StatusUnprocessableEntity,
			"hardware_reservation_id %q is neither a hardware reservation of the project nor %q", wanted, nextAvailable)
	}
	var p problems
	if row.Value.Plan != o.plan.Slug {
		p.add("hardware_reservation_id %q is a server of plan %q, not %q", wanted, row.Value.Plan, o.plan.Slug)
	}
	if !o.destination.allows(row.Value) {
		p.add("hardware_reservation_id %q is a server in facility %q, metro %q", wanted, row.Value.Facility, row.Value.Metro)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	if !row.Value.Provisionable(now) || !o.hasFeatures() {
		return nil, refuse(http.StatusServiceUnavailable, "Server is not provisionable")
	}
	return row, nil
}
