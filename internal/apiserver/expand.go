package apiserver

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// prefix is where the API is, and how its references begin.
const prefix = "/metal/v1"

// maxDepth is how deep include and exclude go.
const maxDepth = 3

// selection is what a client wants to see of nested objects: include expands
// references, exclude makes references of objects.
type selection struct {
	include, exclude [][]string
	// viewer is who asks: what it may not see stays a reference.
	viewer viewer
}

func (r *request) selection() selection {
	return selection{include: paths(r.query["include"]), exclude: paths(r.query["exclude"]), viewer: r.viewer()}
}

// paths splits comma lists of dotted paths. What is too deep is cut.
func paths(values []string) [][]string {
	var all [][]string
	for _, value := range values {
		for _, path := range strings.Split(value, ",") {
			if path = strings.TrimSpace(path); path != "" {
				parts := strings.Split(path, ".")
				all = append(all, parts[:min(len(parts), maxDepth)])
			}
		}
	}
	return all
}

// empty tells that objects are to be shown as they are, which is what nearly
// every request asks for.
func (s selection) empty() bool {
	return len(s.include) == 0 && len(s.exclude) == 0
}

// apply shows an object as selected.
func (s selection) apply(a *API, snapshot *store.Snapshot, data []byte) ([]byte, error) {
	if s.empty() {
		return data, nil
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, fmt.Errorf("reading an object to expand: %w", err)
	}
	for _, path := range s.include {
		if err := a.include(snapshot, s.viewer, object, path); err != nil {
			return nil, err
		}
	}
	for _, path := range s.exclude {
		exclude(object, path)
	}
	return json.Marshal(object)
}

// include expands what is at a path. Names that the object does not have are
// ignored, as the service did; so a reservation never gets a key that its
// closed schema does not have.
func (a *API) include(snapshot *store.Snapshot, viewer viewer, object map[string]any, path []string) error {
	name, rest := path[0], path[1:]
	if _, hasPorts := object["network_ports"]; hasPorts && ofPorts(name) {
		// Terraform's provider asks so of a device.
		return a.include(snapshot, viewer, object, append([]string{"network_ports"}, path...))
	}
	expand := func(value any) (any, error) {
		nested, ok := value.(map[string]any)
		if !ok {
			return value, nil
		}
		if href, ok := nested["href"].(string); ok && len(nested) == 1 {
			found, err := a.resolve(snapshot, viewer, name, href)
			if err != nil {
				return nil, err
			}
			if found != nil {
				nested = found
			}
		}
		if len(rest) == 0 {
			return nested, nil
		}
		return nested, a.include(snapshot, viewer, nested, rest)
	}
	switch value := object[name].(type) {
	case map[string]any:
		expanded, err := expand(value)
		if err != nil {
			return err
		}
		object[name] = expanded
	case []any:
		for i := range value {
			expanded, err := expand(value[i])
			if err != nil {
				return err
			}
			value[i] = expanded
		}
	}
	return nil
}

// ofPorts tells the names that, asked for of a device, mean those of its ports.
func ofPorts(name string) bool {
	return name == "virtual_networks" || name == "native_virtual_network"
}

// resolve finds the object that a reference points at, nil for none and for
// one that the viewer may not see.
func (a *API) resolve(snapshot *store.Snapshot, viewer viewer, name, href string) (map[string]any, error) {
	path := strings.Split(strings.Trim(strings.TrimPrefix(href, prefix), "/"), "/")
	id := path[len(path)-1]
	kind, ok := a.kinds()[strings.Join(path[:len(path)-1], "/")]
	if !ok {
		return nil, nil
	}
	if o, ok := kind.of(snapshot, id); !ok || !viewer.may(snapshot, o) {
		return nil, nil
	}
	data, err := kind.encode(snapshot, id)
	if data == nil || err != nil {
		return nil, err
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, fmt.Errorf("reading %s to expand it: %w", href, err)
	}
	if name == "parent_block" {
		// A block inside an assignment is less than the reservation it is.
		return map[string]any{
			"href": object["href"], "network": object["network"], "netmask": object["netmask"], "cidr": object["cidr"],
		}, nil
	}
	return object, nil
}

// collections are where objects are that have no reference of their own.
var collections = map[string]string{
	"plan":             "plans",
	"operating_system": "operating-systems",
	"facility":         "facilities",
	"metro":            "locations/metros",
}

// exclude makes a reference of what is at a path.
func exclude(object map[string]any, path []string) {
	name, rest := path[0], path[1:]
	shorten := func(value any) any {
		nested, ok := value.(map[string]any)
		if !ok {
			return value
		}
		if len(rest) > 0 {
			exclude(nested, rest)
			return nested
		}
		if href, ok := nested["href"].(string); ok {
			return packet.Href{Href: href}
		}
		collection, known := collections[name]
		if id, ok := nested["id"].(string); ok && known {
			return packet.Href{Href: prefix + "/" + collection + "/" + id}
		}
		return nested
	}
	switch value := object[name].(type) {
	case map[string]any:
		object[name] = shorten(value)
	case []any:
		for i := range value {
			value[i] = shorten(value[i])
		}
	}
}
