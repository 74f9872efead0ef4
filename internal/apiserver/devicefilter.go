package apiserver

import (
	"net/url"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/hardware"
	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// deviceFilter is what a list of devices can be narrowed by. What is empty
// does not narrow.
type deviceFilter struct {
	search, hostname, tag, mac, kind string
	facilities, metros, categories   []string
	reserved, terminating            string
	catalogue                        *catalogue.Catalogue
}

func (a *API) deviceFilterOf(query url.Values) deviceFilter {
	return deviceFilter{
		search:      strings.ToLower(query.Get("search")),
		hostname:    strings.ToLower(query.Get("hostname")),
		tag:         query.Get("tag"),
		mac:         strings.ToLower(query.Get("mac_address")),
		kind:        query.Get("type"),
		facilities:  commaList(query.Get("facility")),
		metros:      commaList(query.Get("metro")),
		categories:  append(commaList(strings.Join(query["categories"], ",")), query["categories[]"]...),
		reserved:    query.Get("reserved"),
		terminating: query.Get("has_termination_time"),
		catalogue:   a.catalogue,
	}
}

func commaList(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.ToLower(text), ",")
}

func (f deviceFilter) empty() bool {
	return f.search == "" && f.hostname == "" && f.tag == "" && f.mac == "" && f.kind == "" && f.reserved == "" &&
		f.terminating == "" && len(f.facilities) == 0 && len(f.metros) == 0 && len(f.categories) == 0
}

// choose returns the rows that the filter lets through.
func (f deviceFilter) choose(s *store.Snapshot, rows []*store.Row[store.Device]) []*store.Row[store.Device] {
	if f.empty() {
		return rows
	}
	return where(rows, func(device *store.Device) bool { return f.matches(s, device) })
}

func (f deviceFilter) matches(s *store.Snapshot, d *store.Device) bool {
	switch {
	case f.hostname != "" && !strings.Contains(strings.ToLower(d.Hostname), f.hostname):
		return false
	case f.tag != "" && !slices.Contains(d.Tags, f.tag):
		return false
	case f.mac != "" && f.mac != hardware.MAC(d.ID, 0) && f.mac != hardware.MAC(d.ID, 1):
		return false
	case f.kind != "" && !slices.Contains(commaList(strings.ReplaceAll(f.kind, "_", "")), typeOf(d)):
		return false
	case f.reserved != "" && (f.reserved == "true") != (d.HardwareReservationID != ""):
		return false
	case f.terminating != "" && (f.terminating == "true") != (d.TerminationTime != nil):
		return false
	case len(f.facilities) > 0 && !slices.Contains(f.facilities, d.Facility):
		return false
	case len(f.metros) > 0 && !slices.Contains(f.metros, d.Metro):
		return false
	case len(f.categories) > 0 && !f.inCategory(d):
		return false
	}
	return f.search == "" || f.found(s, d)
}

// typeOf is what kind of server a device is on, as the filter calls it.
func typeOf(d *store.Device) string {
	switch {
	case d.HardwareReservationID != "":
		return "reserved"
	case d.SpotInstance:
		return "spot"
	default:
		return "ondemand"
	}
}

func (f deviceFilter) inCategory(d *store.Device) bool {
	plan, ok := f.catalogue.Plan(d.Plan)
	if !ok {
		return false
	}
	generation := "current_gen"
	if plan.Legacy {
		generation = "legacy_gen"
	}
	return slices.ContainsFunc(append(slices.Clone(plan.Categories), generation), func(category string) bool {
		return slices.Contains(f.categories, category)
	})
}

// found looks for the text in what people know a device by.
func (f deviceFilter) found(s *store.Snapshot, d *store.Device) bool {
	texts := append([]string{d.ID, d.Hostname, d.Description, d.Facility, d.Metro, d.Plan, d.OperatingSystem}, d.Tags...)
	if d.HardwareReservationID != "" {
		texts = append(texts, hardware.ShortID(d.HardwareReservationID))
	}
	if system, ok := f.catalogue.OperatingSystem(d.OperatingSystem); ok {
		texts = append(texts, system.Name)
	}
	if facility, ok := f.catalogue.Facility(d.Facility); ok {
		texts = append(texts, facility.Name)
	}
	for _, row := range s.Assignments.In(store.OfDevice(d.ID)) {
		texts = append(texts, row.Value.Address.String())
	}
	return slices.ContainsFunc(texts, func(text string) bool {
		return strings.Contains(strings.ToLower(text), f.search)
	})
}
