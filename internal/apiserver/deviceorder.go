package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/pkg/packet"
)

// order is a valid request for a device.
type order struct {
	input    packet.DeviceCreate
	plan     *catalogue.Plan
	system   *catalogue.OperatingSystem
	metro    *packet.Metro
	facility *packet.Facility
	network  network
}

// network is which addresses a device gets, besides its private IPv4.
type network struct {
	publicIPv4, publicIPv6 bool
	// publicBits is the length of its public IPv4 block.
	publicBits int
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
	o.metro, o.facility = a.location(&p, input.Metro, input.Facility)

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
	if input.SpotInstance {
		p.add("spot_instance true is not possible: there is no spot market")
	}
	subnet := 31
	if o.system != nil {
		subnet = o.system.SubnetBits
	}
	o.network = p.network(input, subnet)
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
	if input.HardwareReservationID != "" {
		return nil, refuse(http.StatusServiceUnavailable,
			"There are no available hardware reservations for selected plan and facility")
	}
	return o, nil
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

// network checks which addresses are asked for. Without a list a device gets
// one of each kind.
func (p *problems) network(input packet.DeviceCreate, subnet int) network {
	n := network{publicIPv4: true, publicIPv6: true, publicBits: subnet}
	if size := input.PublicIPv4SubnetSize; size != 0 {
		n.publicBits = p.subnet("public_ipv4_subnet_size", size, subnet)
	}
	if size := input.PrivateIPv4SubnetSize; size != 0 && size != 31 {
		p.add("private_ipv4_subnet_size %d is not possible, only 31 is", size)
	}
	if len(input.IPAddresses) == 0 {
		return n
	}
	n.publicIPv4, n.publicIPv6 = false, false
	private := false
	for i, address := range input.IPAddresses {
		field := fmt.Sprintf("ip_addresses[%d]", i)
		if len(address.IPReservations) > 0 {
			p.add("%s.ip_reservations are not possible on this server: assign the address to the device once it exists", field)
		}
		switch {
		case address.AddressFamily == 4 && address.Public:
			n.publicIPv4 = true
			if address.CIDR != 0 {
				n.publicBits = p.subnet(field+".cidr", address.CIDR, subnet)
			}
		case address.AddressFamily == 4:
			private = true
			if address.CIDR != 0 && address.CIDR != 31 {
				p.add("%s.cidr %d is not possible for private addresses, only 31 is", field, address.CIDR)
			}
		case address.AddressFamily == 6 && address.Public:
			n.publicIPv6 = true
			if address.CIDR != 0 && address.CIDR != 127 {
				p.add("%s.cidr %d is not possible for IPv6 addresses, only 127 is", field, address.CIDR)
			}
		case address.AddressFamily == 6:
			p.add("%s is private IPv6, which does not exist", field)
		default:
			p.add("%s.address_family %d is not one of: 4, 6", field, address.AddressFamily)
		}
	}
	if !private {
		p.add("ip_addresses must have a private IPv4 address: {\"address_family\": 4, \"public\": false}")
	}
	return n
}

// subnet checks the length of a public IPv4 block, of which an operating
// system can do with no less than its own.
func (p *problems) subnet(field string, bits, longest int) int {
	if bits < 28 || bits > longest {
		p.add("%s %d is not from 28 to %d, which this operating system needs", field, bits, longest)
	}
	return bits
}
