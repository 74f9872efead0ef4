package apiserver

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"sigs.k8s.io/yaml"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/pkg/packet"
)

// seed is what a server shall have, as a YAML file says it. What it names
// that exists already, by ID, is added to. The form is in
// docs/api-server/testing.md.
type seed struct {
	Users    []seedUser     `json:"users,omitempty"`
	Projects []seedProject  `json:"projects,omitempty"`
	Capacity []seedCapacity `json:"capacity,omitempty"`
}

// seedUser is a user with an organization of its own, unless one is named.
type seedUser struct {
	ID        string `json:"id,omitempty"`
	Email     string `json:"email"`
	FirstName string `json:"first_name,omitempty"`
	LastName  string `json:"last_name,omitempty"`
	// Organization is the name of the user's organization, which users share
	// that name the same.
	Organization string      `json:"organization,omitempty"`
	Tokens       []seedToken `json:"tokens,omitempty"`
}

// seedToken is a secret that clients under test know.
type seedToken struct {
	Token       string `json:"token"`
	Description string `json:"description,omitempty"`
	ReadOnly    bool   `json:"read_only,omitempty"`
}

// seedProject is a project with what is in it. What is not a type of its own
// here is the body of the API's own request.
type seedProject struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
	// Organization is the name of an organization of the seed's users; empty is
	// the server's own.
	Organization string `json:"organization,omitempty"`
	// MaxDevices limits the devices by plan, and under "default" those of all
	// other plans.
	MaxDevices map[string]int `json:"max_devices,omitempty"`
	Tokens     []seedToken    `json:"tokens,omitempty"`

	SSHKeys         []packet.SSHKeyCreate         `json:"ssh_keys,omitempty"`
	BGP             *packet.BGPConfigRequest      `json:"bgp,omitempty"`
	VirtualNetworks []packet.VirtualNetworkCreate `json:"virtual_networks,omitempty"`
	VRFs            []packet.VRFCreate            `json:"vrfs,omitempty"`
	IPs             []packet.IPReservationCreate  `json:"ips,omitempty"`
	Hardware        []seedHardware                `json:"hardware_reservations,omitempty"`
	Devices         []seedDevice                  `json:"devices,omitempty"`
}

// seedHardware is reserved servers of one kind.
type seedHardware struct {
	ID            string `json:"id,omitempty"`
	Plan          string `json:"plan"`
	Metro         string `json:"metro"`
	Count         int    `json:"count,omitempty"`
	Spare         bool   `json:"spare,omitempty"`
	NeedOfService bool   `json:"need_of_service,omitempty"`
}

// seedDevice is one device, or Count of them with numbers after their
// hostname.
type seedDevice struct {
	packet.DeviceCreate
	Count int `json:"count,omitempty"`
}

// seedCapacity is how many servers of a plan there are in a metro; either may
// be empty for all of them.
type seedCapacity struct {
	Plan    string `json:"plan,omitempty"`
	Metro   string `json:"metro,omitempty"`
	Servers int    `json:"servers"`
}

// maxSeedCount is how many devices or servers one entry may stand for.
const maxSeedCount = 100000

// parseSeed reads a seed, and refuses what it does not know, what is said
// twice, and what cannot be, before anything is made of it.
func parseSeed(data []byte, offers *catalogue.Catalogue) (*seed, error) {
	var s seed
	if err := yaml.UnmarshalStrict(data, &s); err != nil {
		text := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
		text = strings.TrimPrefix(text, "error unmarshaling JSON: while decoding JSON: ")
		return nil, refuse(http.StatusUnprocessableEntity, "The seed is wrong: %s", strings.TrimPrefix(text, "json: "))
	}
	v := seedCheck{offers: offers, ids: map[string]string{}, tokens: map[string]string{}}
	v.check(&s)
	return &s, v.err()
}

// seedCheck finds what is wrong with a seed. What only the API's own requests
// know is found when they are made.
type seedCheck struct {
	problems
	offers *catalogue.Catalogue
	// ids and tokens are where each was seen first.
	ids, tokens map[string]string
}

func (v *seedCheck) check(s *seed) {
	organizations := map[string]bool{"": true}
	for i, user := range s.Users {
		at := fmt.Sprintf("users[%d]", i)
		v.id(at, user.ID)
		organizations[user.Organization] = true
		if !strings.Contains(user.Email, "@") {
			v.add("%s.email %q is no address of mail", at, user.Email)
		}
		v.secrets(at, user.Tokens)
	}
	for i, project := range s.Projects {
		at := fmt.Sprintf("projects[%d]", i)
		v.id(at, project.ID)
		if project.ID == "" && project.Name == "" {
			v.add("%s.name can't be blank where there is no id", at)
		}
		if !organizations[project.Organization] {
			v.add("%s.organization %q is that of no user of the seed", at, project.Organization)
		}
		for plan, most := range project.MaxDevices {
			if plan != "default" {
				v.plan(at+".max_devices", plan)
			}
			if most < 0 {
				v.add("%s.max_devices[%s] %d is less than 0", at, plan, most)
			}
		}
		v.secrets(at, project.Tokens)
		for j, hardware := range project.Hardware {
			at := fmt.Sprintf("%s.hardware_reservations[%d]", at, j)
			v.id(at, hardware.ID)
			v.plan(at+".plan", hardware.Plan)
			v.metro(at+".metro", hardware.Metro)
			v.count(at, hardware.Count)
			if hardware.ID != "" && hardware.Count > 1 {
				v.add("%s.count %d is more than 1, and id is that of one server", at, hardware.Count)
			}
		}
		for j, device := range project.Devices {
			at := fmt.Sprintf("%s.devices[%d]", at, j)
			v.count(at, device.Count)
			if device.Count > 1 && device.Hostname == "" {
				v.add("%s.hostname can't be blank where count is more than 1", at)
			}
		}
	}
	for i, capacity := range s.Capacity {
		at := fmt.Sprintf("capacity[%d]", i)
		if capacity.Plan != "" {
			v.plan(at+".plan", capacity.Plan)
		}
		if capacity.Metro != "" {
			v.metro(at+".metro", capacity.Metro)
		}
	}
}

func (v *seedCheck) id(at, id string) {
	if id == "" {
		return
	}
	if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
		v.add("%s.id %q is not a UUID in lower case", at, shortened(id))
	}
	if first, twice := v.ids[id]; twice {
		v.add("%s.id %q is that of %s", at, id, first)
	}
	v.ids[id] = at
}

// secrets checks tokens, without repeating them.
func (v *seedCheck) secrets(at string, tokens []seedToken) {
	for i, token := range tokens {
		at := fmt.Sprintf("%s.tokens[%d]", at, i)
		if token.Token == "" || strings.ContainsFunc(token.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			v.add("%s.token must have characters that an HTTP header can carry, and no other: ! to ~", at)
		}
		if first, twice := v.tokens[token.Token]; twice {
			v.add("%s.token is that of %s", at, first)
		}
		v.tokens[token.Token] = at
	}
}

func (v *seedCheck) plan(at, slug string) {
	if _, ok := v.offers.Plan(slug); !ok {
		v.notOneOf(at, slug, v.offers.PlanSlugs())
	}
}

func (v *seedCheck) metro(at, code string) {
	if _, ok := v.offers.Metro(code); !ok {
		v.notOneOf(at, code, v.offers.MetroCodes())
	}
}

func (v *seedCheck) count(at string, count int) {
	if count < 0 || count > maxSeedCount {
		v.add("%s.count %d is not between 0 and %d", at, count, maxSeedCount)
	}
}
