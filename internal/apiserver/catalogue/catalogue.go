// Package catalogue is what the API offers: plans, metros, facilities and
// operating systems. It is fixed data with fixed IDs.
package catalogue

import (
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/pkg/packet"
)

// namespace is what the IDs of all entries without a known ID are made from,
// so that they are the same on every server.
var namespace = uuid.MustParse("9b2d3b5c-6a0f-4a4e-9d0c-2f3f6f0c6a11")

// Catalogue holds every entry in the order in which the API lists it.
type Catalogue struct {
	Metros           []packet.Metro
	Facilities       []packet.Facility
	Plans            []Plan
	OperatingSystems []OperatingSystem

	metros     map[string]*packet.Metro
	facilities map[string]*packet.Facility
	plans      map[string]*Plan
	systems    map[string]*OperatingSystem
}

// Plan is a plan with what a machine needs to know of it.
type Plan struct {
	packet.Plan
	CPUs        int
	MemoryBytes int64
	ARM         bool
}

// OperatingSystem is an operating system with what its installation needs.
type OperatingSystem struct {
	packet.OperatingSystem
	// SubnetBits is the length of a device's public IPv4 block: most systems
	// do with a /31, some need a block with its own broadcast address.
	SubnetBits int
	// User is the account to log in with.
	User string
}

// New returns the catalogue.
func New() *Catalogue {
	c := &Catalogue{
		metros:     map[string]*packet.Metro{},
		facilities: map[string]*packet.Facility{},
		plans:      map[string]*Plan{},
		systems:    map[string]*OperatingSystem{},
	}
	c.addLocations()
	c.addPlans()
	c.addOperatingSystems()
	for i := range c.Metros {
		c.metros[c.Metros[i].Code] = &c.Metros[i]
	}
	for i := range c.Facilities {
		c.facilities[c.Facilities[i].Code] = &c.Facilities[i]
	}
	for i := range c.Plans {
		c.plans[c.Plans[i].Slug] = &c.Plans[i]
	}
	for i := range c.OperatingSystems {
		c.systems[c.OperatingSystems[i].Slug] = &c.OperatingSystems[i]
	}
	return c
}

// Metro finds a metro by its code, in either case, as clients write both, or
// by its ID.
func (c *Catalogue) Metro(code string) (*packet.Metro, bool) {
	if metro, ok := c.metros[strings.ToLower(code)]; ok {
		return metro, true
	}
	for i := range c.Metros {
		if c.Metros[i].ID == code {
			return &c.Metros[i], true
		}
	}
	return nil, false
}

// Facility finds a facility by its code, or by its ID.
func (c *Catalogue) Facility(code string) (*packet.Facility, bool) {
	if facility, ok := c.facilities[strings.ToLower(code)]; ok {
		return facility, true
	}
	for i := range c.Facilities {
		if c.Facilities[i].ID == code {
			return &c.Facilities[i], true
		}
	}
	return nil, false
}

// FacilityIn returns the facility that a device gets which asked for a metro
// only.
func (c *Catalogue) FacilityIn(metro string) *packet.Facility {
	for i := range c.Facilities {
		if c.Facilities[i].Metro.Code == metro {
			return &c.Facilities[i]
		}
	}
	return nil
}

// Plan finds a plan by its slug, or by its ID.
func (c *Catalogue) Plan(slug string) (*Plan, bool) {
	if plan, ok := c.plans[slug]; ok {
		return plan, true
	}
	for i := range c.Plans {
		if c.Plans[i].ID == slug {
			return &c.Plans[i], true
		}
	}
	return nil, false
}

// OperatingSystem finds an operating system by its slug, or by its ID.
func (c *Catalogue) OperatingSystem(slug string) (*OperatingSystem, bool) {
	if system, ok := c.systems[slug]; ok {
		return system, true
	}
	for i := range c.OperatingSystems {
		if c.OperatingSystems[i].ID == slug {
			return &c.OperatingSystems[i], true
		}
	}
	return nil, false
}

// MetroCodes lists all codes, sorted, for error messages.
func (c *Catalogue) MetroCodes() []string { return sortedKeys(c.metros) }

// FacilityCodes lists all codes, sorted, for error messages.
func (c *Catalogue) FacilityCodes() []string { return sortedKeys(c.facilities) }

// PlanSlugs lists all slugs, sorted, for error messages.
func (c *Catalogue) PlanSlugs() []string { return sortedKeys(c.plans) }

// OperatingSystemSlugs lists all slugs, sorted, for error messages.
func (c *Catalogue) OperatingSystemSlugs() []string { return sortedKeys(c.systems) }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func id(kind, name string) string {
	return uuid.NewSHA1(namespace, []byte(kind+"/"+name)).String()
}
