package packet

import (
	"net/url"
	"strconv"
	"strings"
)

// QueryOption refines what a request answers with.
type QueryOption func(url.Values)

// Include asks for nested objects in full, which are references otherwise:
// dotted names of up to three levels, for example "ip_addresses.parent_block".
func Include(names ...string) QueryOption {
	return func(q url.Values) { addNames(q, "include", names) }
}

// Exclude asks for references instead of nested objects that are given in full.
func Exclude(names ...string) QueryOption {
	return func(q url.Values) { addNames(q, "exclude", names) }
}

// IPTypes restricts a list of reservations to some IPType constants.
func IPTypes(types ...string) QueryOption {
	return func(q url.Values) { addNames(q, "types", types) }
}

func addNames(q url.Values, key string, names []string) {
	if len(names) == 0 {
		return
	}
	list := strings.Join(names, ",")
	if before := q.Get(key); before != "" {
		list = before + "," + list
	}
	q.Set(key, list)
}

func query(options []QueryOption) url.Values {
	q := url.Values{}
	for _, option := range options {
		option(q)
	}
	return q
}

// DeviceFilter restricts a list of devices. Empty fields do not.
type DeviceFilter struct {
	// Tag is one tag that a device must have.
	Tag string
	// Hostname is a part of the host name: "web" finds web-1 and cobweb.
	Hostname string
	// Search looks into host name, description, tags, short ID and addresses.
	Search     string
	Facility   string
	Metro      string
	MACAddress string
	// Type is ondemand, spot or reserved.
	Type               string
	Categories         []string
	Reserved           *bool
	HasTerminationTime *bool
}

func (f DeviceFilter) query(options []QueryOption) url.Values {
	q := query(options)
	for _, field := range []struct{ key, value string }{
		{"tag", f.Tag},
		{"hostname", f.Hostname},
		{"search", f.Search},
		{"facility", f.Facility},
		{"metro", f.Metro},
		{"mac_address", f.MACAddress},
		{"type", f.Type},
	} {
		if field.value != "" {
			q.Set(field.key, field.value)
		}
	}
	addNames(q, "categories", f.Categories)
	if f.Reserved != nil {
		q.Set("reserved", strconv.FormatBool(*f.Reserved))
	}
	if f.HasTerminationTime != nil {
		q.Set("has_termination_time", strconv.FormatBool(*f.HasTerminationTime))
	}
	return q
}
