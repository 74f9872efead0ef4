package metadata

import (
	"net/http"
	"strings"

	"github.com/packetyard/packetyard/internal/apiserver/hardware"
	"github.com/packetyard/packetyard/internal/apiserver/store"
)

const ec2Version = "/2009-04-04"

// item is a leaf of the EC2 tree, by its path. Values is nil where the device
// has no such thing, and then the leaf does not exist.
type item struct {
	path   string
	values func(*service, *caller) []string
}

// items are in the order in which the tree lists them.
func items() []item {
	return []item{
		{"instance-id", one(func(c *caller) string { return c.device.ID })},
		{"hostname", one(func(c *caller) string { return c.device.Hostname })},
		// cloud-init takes the host name from this one, which Packet lacked.
		{"local-hostname", one(func(c *caller) string { return c.device.Hostname })},
		{"iqn", one(func(c *caller) string { return hardware.IQN(c.device.ID, c.device.CreatedAt) })},
		{"plan", one(func(c *caller) string { return c.device.Plan })},
		{"facility", one(func(c *caller) string { return c.device.Facility })},
		{"tags", func(_ *service, c *caller) []string { return orNone(c.device.Tags) }},
		{"operating-system/slug", one(func(c *caller) string { return c.device.OperatingSystem })},
		{"operating-system/distro", ofSystem(func(s operatingSystem) string { return s.Distro })},
		{"operating-system/version", ofSystem(func(s operatingSystem) string { return s.Version })},
		{"operating-system/license-activation/state", ofSystem(func(s operatingSystem) string { return s.LicenseActivation.State })},
		{"operating-system/image-tag", ofSystem(func(s operatingSystem) string { return s.ImageTag })},
		{"public-keys", func(_ *service, c *caller) []string { return orNone(sshKeys(c.snapshot, c.device)) }},
		{"spot/termination-time", terminationTime},
		{"public-ipv4", addressesWhere(func(v *store.Assignment) bool { return v.Public && v.Address.Is4() })},
		{"public-ipv6", addressesWhere(func(v *store.Assignment) bool { return v.Public && v.Address.Is6() })},
		{"local-ipv4", addressesWhere(func(v *store.Assignment) bool { return !v.Public && v.Address.Is4() })},
	}
}

func one(value func(*caller) string) func(*service, *caller) []string {
	return func(_ *service, c *caller) []string { return []string{value(c)} }
}

// orNone is a list of nothing where there is none, for leaves that exist all
// the same.
func orNone(values []string) []string {
	if len(values) == 0 {
		return []string{}
	}
	return values
}

func ofSystem(value func(operatingSystem) string) func(*service, *caller) []string {
	return func(s *service, c *caller) []string {
		system, ok := systemOf(s.Catalogue, c.device)
		if !ok {
			return nil
		}
		return []string{value(system)}
	}
}

func terminationTime(_ *service, c *caller) []string {
	at := spotOf(c.device).TerminationTime
	if at == nil {
		return nil
	}
	return []string{at.UTC().Format("2006-01-02T15:04:05Z")}
}

func addressesWhere(wanted func(*store.Assignment) bool) func(*service, *caller) []string {
	return func(_ *service, c *caller) []string {
		var found []string
		for _, row := range c.snapshot.AddressesOf(c.device.ID) {
			if wanted(row.Value) {
				found = append(found, row.Value.Address.String())
			}
		}
		return found
	}
}

func (s *service) registerEC2(mux *http.ServeMux) {
	root := s.read(func(*service, *caller) (*answer, error) { return plain("meta-data\nuser-data") })
	mux.HandleFunc("GET "+ec2Version, root)
	mux.HandleFunc("GET "+ec2Version+"/{$}", root)
	mux.HandleFunc("GET "+ec2Version+"/user-data", s.read(userdata))
	mux.HandleFunc("GET "+ec2Version+"/meta-data", s.read(tree("")))
	mux.HandleFunc("GET "+ec2Version+"/meta-data/{path...}", func(w http.ResponseWriter, r *http.Request) {
		s.read(tree(strings.Trim(r.PathValue("path"), "/")))(w, r)
	})
}

// tree answers with a leaf, or with what is below a branch. Branches are
// listed like leaves, without a slash at their end, as Packet did: who reads
// a branch like a leaf gets its list.
func tree(path string) func(*service, *caller) (*answer, error) {
	return func(s *service, c *caller) (*answer, error) {
		var below []string
		for _, item := range items() {
			values := item.values(s, c)
			if values == nil {
				continue
			}
			if item.path == path {
				return plain(strings.Join(values, "\n"))
			}
			rest := item.path
			if path != "" {
				var inside bool
				if rest, inside = strings.CutPrefix(item.path, path+"/"); !inside {
					continue
				}
			}
			name, _, _ := strings.Cut(rest, "/")
			if len(below) == 0 || below[len(below)-1] != name {
				below = append(below, name)
			}
		}
		if len(below) == 0 {
			return nil, nil
		}
		return plain(strings.Join(below, "\n"))
	}
}
