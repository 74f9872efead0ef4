package metadata

import (
	"net/http"
	"strings"

	"github.com/packetyard/packetyard/internal/apiserver/hardware"
	"github.com/packetyard/packetyard/internal/apiserver/store"
)

const ec2Version = "/2009-04-04"

// item is a leaf of the EC2 tree. It is absent where its text is empty.
type item struct {
	name string
	text func(*service, *caller) string
}

// items are in the order in which the tree lists them.
var items = []item{
	{"instance-id", func(_ *service, c *caller) string { return c.row.Value.ID }},
	{"hostname", func(_ *service, c *caller) string { return c.row.Value.Hostname }},
	{"local-hostname", func(_ *service, c *caller) string { return c.row.Value.Hostname }},
	{"iqn", func(_ *service, c *caller) string { return hardware.IQN(c.row.Value.ID, c.row.Value.CreatedAt) }},
	{"plan", func(_ *service, c *caller) string { return c.row.Value.Plan }},
	{"facility", func(_ *service, c *caller) string { return c.row.Value.Facility }},
	{"tags", func(_ *service, c *caller) string { return strings.Join(c.row.Value.Tags, "\n") }},
	{"operating-system/slug", func(_ *service, c *caller) string { return c.row.Value.OperatingSystem }},
	{"operating-system/distro", func(s *service, c *caller) string {
		system, ok := s.Catalogue.OperatingSystem(c.row.Value.OperatingSystem)
		if !ok {
			return ""
		}
		return system.Distro
	}},
	{"operating-system/version", func(s *service, c *caller) string {
		system, ok := s.Catalogue.OperatingSystem(c.row.Value.OperatingSystem)
		if !ok {
			return ""
		}
		return system.Version
	}},
	{"operating-system/license-activation/state", func(*service, *caller) string { return "unlicensed" }},
	{"public-keys", func(_ *service, c *caller) string { return strings.Join(c.sshKeys(), "\n") }},
	{"public-ipv4", ownAddress(func(v *store.Assignment) bool { return v.Public && v.Address.Is4() })},
	{"public-ipv6", ownAddress(func(v *store.Assignment) bool { return v.Public && v.Address.Is6() })},
	{"local-ipv4", ownAddress(func(v *store.Assignment) bool { return !v.Public })},
}

func ownAddress(wanted func(*store.Assignment) bool) func(*service, *caller) string {
	return func(_ *service, c *caller) string {
		for _, row := range c.snapshot.AddressesOf(c.row.Value.ID) {
			if row.Value.Management && wanted(row.Value) {
				return row.Value.Address.String()
			}
		}
		return ""
	}
}

func (s *service) registerEC2(mux *http.ServeMux) {
	mux.HandleFunc("GET "+ec2Version+"/{$}", s.read(func(*service, *caller) (*answer, error) {
		return plain("meta-data/\nuser-data\n")
	}))
	mux.HandleFunc("GET "+ec2Version+"/user-data", s.read(userdata))
	mux.HandleFunc("GET "+ec2Version+"/meta-data", s.read(tree("")))
	mux.HandleFunc("GET "+ec2Version+"/meta-data/{path...}", func(w http.ResponseWriter, r *http.Request) {
		s.read(tree(strings.TrimSuffix(r.PathValue("path"), "/")))(w, r)
	})
}

// tree answers with a leaf, or with what is below a branch.
func tree(path string) func(*service, *caller) (*answer, error) {
	return func(s *service, c *caller) (*answer, error) {
		var below []string
		seen := map[string]struct{}{}
		for _, item := range items {
			text := item.text(s, c)
			if text == "" {
				continue
			}
			if item.name == path {
				return plain(text)
			}
			rest := item.name
			if path != "" {
				var inside bool
				if rest, inside = strings.CutPrefix(item.name, path+"/"); !inside {
					continue
				}
			}
			name, _, branch := strings.Cut(rest, "/")
			if branch {
				name += "/"
			}
			if _, again := seen[name]; !again {
				seen[name] = struct{}{}
				below = append(below, name)
			}
		}
		if len(below) == 0 {
			return nil, nil
		}
		return plain(strings.Join(below, "\n"))
	}
}
