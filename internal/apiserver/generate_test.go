package apiserver_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// generator makes values out of the schemas of the API's document, the same
// ones for the same seed.
type generator struct {
	random *rand.Rand
	// ids are values for what looks like the ID of an object.
	ids []string
	// breaks is how likely each part of a value is to be what its schema does
	// not allow, from 0 to 1.
	breaks float64
}

// value makes a JSON value of a schema.
func (g *generator) value(ref *openapi3.SchemaRef, name string, depth int) any {
	if ref == nil || ref.Value == nil || depth > 6 {
		return g.broken()
	}
	if g.random.Float64() < g.breaks {
		return g.broken()
	}
	schema := ref.Value
	switch {
	case len(schema.OneOf) > 0:
		return g.value(schema.OneOf[g.random.IntN(len(schema.OneOf))], name, depth+1)
	case len(schema.AnyOf) > 0:
		return g.value(schema.AnyOf[g.random.IntN(len(schema.AnyOf))], name, depth+1)
	case len(schema.Enum) > 0:
		return schema.Enum[g.random.IntN(len(schema.Enum))]
	}
	switch {
	case len(schema.AllOf) > 0, schema.Type.Is("object"), len(schema.Properties) > 0:
		object := map[string]any{}
		g.fill(object, ref, depth)
		return object
	case schema.Type.Is("array"):
		list := make([]any, g.random.IntN(4))
		for i := range list {
			list[i] = g.value(schema.Items, name, depth+1)
		}
		return list
	case schema.Type.Is("boolean"):
		return g.random.IntN(2) == 0
	case schema.Type.Is("integer"):
		return g.random.IntN(100)
	case schema.Type.Is("number"):
		return g.random.Float64() * 10
	default:
		return g.text(name, schema.Format)
	}
}

// fill adds the properties of a schema to an object: the required ones, and
// each other one as often as not.
func (g *generator) fill(object map[string]any, ref *openapi3.SchemaRef, depth int) {
	for _, part := range ref.Value.AllOf {
		g.fill(object, part, depth+1)
	}
	for _, name := range slices.Sorted(maps.Keys(ref.Value.Properties)) {
		required := slices.Contains(ref.Value.Required, name) && g.random.Float64() >= g.breaks
		if required || g.random.IntN(2) == 0 {
			object[name] = g.value(ref.Value.Properties[name], name, depth+1)
		}
	}
}

// text makes a string that may well be right for a field of that name.
func (g *generator) text(name, format string) string {
	choose := func(values ...string) string { return values[g.random.IntN(len(values))] }
	switch {
	case format == "uuid", strings.HasSuffix(name, "_id"), name == "id", name == "vnid", strings.HasSuffix(name, "ssh_keys"):
		return choose(append(slices.Clone(g.ids), "next-available", "1000")...)
	case format == "date-time":
		return choose("2030-01-01T00:00:00Z", "2020-01-01T00:00:00Z")
	case name == "plan":
		return choose("c3.small.x86", "m3.small.x86", "c3.large.arm64")
	case name == "operating_system":
		return choose("ubuntu_24_04", "debian_12", "custom_ipxe")
	case name == "metro":
		return choose("da", "sv")
	case name == "facility":
		return choose("da11", "sv15", "any")
	case name == "hostname":
		return choose("node-1", "node-2.example")
	case strings.Contains(name, "address"), name == "network", name == "next_hop", name == "prefix":
		return choose("198.18.0.1", "10.0.0.0/29", "192.168.7.0/24", "2001:db8::1")
	case name == "type":
		return choose("public_ipv4", "private_ipv4", "global_ipv4", "public_ipv6", "vrf", "reboot", "static")
	case name == "userdata":
		return choose("#cloud-config\n", "#!/bin/sh\n", "")
	}
	return choose("a", "text of some length", "42", "x-y_z", "ü€😀")
}

// broken makes a value that hardly any field allows.
func (g *generator) broken() any {
	values := []any{
		nil, true, -1, 0, 1 << 40, 1e300, -0.5, "", " ", "\x00", "../..", "%s%n", strings.Repeat("a", 5000), "2001:db8::/129", "999.1.1.1/33",
		"not-a-uuid", []any{}, []any{nil, 1, "x", []any{}}, map[string]any{}, map[string]any{"a": map[string]any{"b": nil}}, "\u202e\ufeff", json.Number("99999999999999999999"),
	}
	return values[g.random.IntN(len(values))]
}

// query makes the parameters of a query.
func (g *generator) query(parameters openapi3.Parameters) string {
	var parts []string
	add := func(name string, value any) {
		parts = append(parts, escapeQuery(name)+"="+escapeQuery(fmt.Sprint(value)))
	}
	for _, ref := range parameters {
		if ref.Value == nil || ref.Value.In != openapi3.ParameterInQuery || g.random.IntN(2) == 0 {
			continue
		}
		switch name := ref.Value.Name; name {
		case "include", "exclude":
			add(name, []string{"project", "project.organization.members", "ip_addresses.parent_block", "plan,metro", "....", "a.b.c.d.e"}[g.random.IntN(6)])
		case "page", "per_page":
			if value := g.value(ref.Value.Schema, name, 0); value != nil {
				add(name, value)
			}
		default:
			add(name, g.value(ref.Value.Schema, name, 0))
		}
	}
	return strings.Join(parts, "&")
}
