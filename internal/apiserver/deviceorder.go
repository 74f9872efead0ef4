package apiserver

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/pkg/packet"
)

// order is a valid request for a device.
type order struct {
	input       packet.DeviceCreate
	plan        *catalogue.Plan
	system      *catalogue.OperatingSystem
	destination destination
	network     network
	features    map[string]string
}

// maxSSHKeys bounds how many keys a request may bring along, since all are
// written in one transaction, which etcd bounds.
const maxSSHKeys = 64

// order checks a request for a device against the catalogue.
func (a *API) order(input packet.DeviceCreate) (*order, error) {
	var p problems
	o := &order{input: input}

	var found bool
	if o.plan, found = a.catalogue.Plan(input.Plan); input.Plan == "" {
		p.add("plan can't be blank: it is one of %s", strings.Join(a.catalogue.PlanSlugs(), ", "))
	} else if !found {
		p.notOneOf("plan", input.Plan, a.catalogue.PlanSlugs())
	}
	if o.system, found = a.catalogue.OperatingSystem(input.OperatingSystem); input.OperatingSystem == "" {
		p.add("operating_system can't be blank: it is one of %s", strings.Join(a.catalogue.OperatingSystemSlugs(), ", "))
	} else if !found {
		p.notOneOf("operating_system", input.OperatingSystem, a.catalogue.OperatingSystemSlugs())
	}
	o.destination = a.destination(&p, input.Metro, input.Facility)

	if o.plan != nil && o.system != nil && o.plan.ARM && !slices.Contains(o.system.ProvisionableOn, o.plan.Slug) {
		p.add("operating_system %q cannot be installed on plan %q, but on: %s",
			o.system.Slug, o.plan.Slug, strings.Join(o.system.ProvisionableOn, ", "))
	}
	p.unless("billing_cycle", input.BillingCycle, billingCycles()...)
	if input.Hostname != "" {
		p.hostname(input.Hostname)
	}
	p.userdata(input.Userdata)
	p.customData(input.CustomData)
	p.script(o.system, input)
	p.storage(input.Storage)
	o.features = p.features(input.Features)
	if end := input.TerminationTime; end != nil && !end.IsZero() && !end.After(a.clock.Now()) {
		p.add("termination_time %s is not in the future", end.Format(time.RFC3339))
	}
	p.spot(input)
	o.network = p.network(input, o.system)
	if len(input.SSHKeys) > maxSSHKeys {
		p.add("ssh_keys has %d keys, it must have at most %d", len(input.SSHKeys), maxSSHKeys)
	}
	for _, key := range input.SSHKeys {
		var refusal *apiError
		if _, err := newSSHKey(key, time.Time{}); errors.As(err, &refusal) {
			p = append(p, refusal.messages...)
		}
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return o, nil
}

// spot checks what is about the spot market. Whether the price is enough
// depends on the place.
func (p *problems) spot(input packet.DeviceCreate) {
	switch {
	case !input.SpotInstance && input.SpotPriceMax != 0:
		p.add("spot_price_max %v is for spot instances: spot_instance must be true", input.SpotPriceMax)
	case input.SpotInstance && !(input.SpotPriceMax > 0):
		p.add("spot_price_max %v is not above 0, which spot_instance true needs", input.SpotPriceMax)
	case input.SpotInstance && input.HardwareReservationID != "":
		p.add("spot_instance true is not possible with hardware_reservation_id %q", shortened(input.HardwareReservationID))
	}
}

// location says where a device or an address goes. A metro counts more than
// facilities, because old clients send an empty or a stale facility with it.
func (a *API) location(p *problems, metroCode string, codes packet.FacilityCodes) (*packet.Metro, *packet.Facility) {
	var metro *packet.Metro
	if metroCode != "" {
		var ok bool
		if metro, ok = a.catalogue.Metro(metroCode); !ok {
			p.notOneOf("metro", metroCode, a.catalogue.MetroCodes())
			return nil, nil
		}
	}
	named := 0
	var facility *packet.Facility
	for _, code := range codes {
		if code == "" {
			continue
		}
		named++
		if code == packet.FacilityAny {
			code = a.catalogue.Facilities[0].Code
			if metro != nil {
				code = a.catalogue.FacilityIn(metro.Code).Code
			}
		}
		found, ok := a.catalogue.Facility(code)
		if !ok {
			p.notOneOf("facility", code, append([]string{packet.FacilityAny}, a.catalogue.FacilityCodes()...))
			continue
		}
		if metro != nil && found.Metro.Code != metro.Code {
			p.add("facility %q is not in metro %q but in %q", code, metro.Code, found.Metro.Code)
			continue
		}
		if facility == nil {
			facility = found
		}
	}
	switch {
	case metro == nil && named == 0:
		p.add("Facility can't be blank: give a metro (%s) or a facility (%s)",
			strings.Join(a.catalogue.MetroCodes(), ", "), strings.Join(a.catalogue.FacilityCodes(), ", "))
		return nil, nil
	case facility == nil && metro == nil:
		return nil, nil
	case facility == nil:
		return metro, a.catalogue.FacilityIn(metro.Code)
	}
	metro, _ = a.catalogue.Metro(facility.Metro.Code)
	return metro, facility
}
