package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// certainty is what a client knows of something that it asked for.
type certainty int

const (
	no certainty = iota
	// maybe is for a request whose answer was lost.
	maybe
	yes
)

// thing is an object that a client asked for: a device, a reservation or a
// VLAN. Its name is its own, so that it is found again if its ID was lost.
type thing struct {
	kind, name, id string
	// address is the first of a reservation, or the VXLAN of a VLAN.
	address          string
	created, deleted certainty
	// holder is the device that a reservation is assigned to.
	holder       *thing
	assigned     certainty
	assignmentID string
}

// ledger is what one client knows of all that it asked for.
type ledger struct {
	name    string
	random  *rand.Rand
	http    *http.Client
	token   string
	project string
	things  []*thing
	count   int
	// acknowledged counts the changes that a server confirmed.
	acknowledged int
}

func newLedger(name string, seed uint64, token, project string) *ledger {
	return &ledger{
		name: name, token: token, project: project,
		random: rand.New(rand.NewPCG(seed, 0)),
		// A server that was killed leaves no connection to be used again.
		http: &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second},
	}
}

// ask sends a request. The status is 0 where nobody knows what became of it.
func (l *ledger) ask(ctx context.Context, base, method, path string, body, into any) int {
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		reader = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, reader)
	if err != nil {
		panic(err)
	}
	req.Header.Set("X-Auth-Token", l.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	answer, err := l.http.Do(req)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode >= 500 && answer.StatusCode != http.StatusNotImplemented {
		return 0
	}
	if answer.StatusCode < 300 && into != nil && json.Unmarshal(data, into) != nil {
		return 0
	}
	return answer.StatusCode
}

// live are the things of a kind that are there for sure.
func (l *ledger) live(kind string) []*thing {
	var live []*thing
	for _, thing := range l.things {
		if thing.kind == kind && thing.created == yes && thing.deleted == no {
			live = append(live, thing)
		}
	}
	return live
}

// act does one thing or other. It returns false when nobody knows what became
// of it.
func (l *ledger) act(ctx context.Context, base string) bool {
	devices, blocks, vlans := l.live("device"), l.live("reservation"), l.live("vlan")
	pick := func(from []*thing) *thing { return from[l.random.IntN(len(from))] }
	switch n := l.random.IntN(10); {
	case n < 3 && len(devices) < 6:
		return l.create(ctx, base, "device", "/devices", "hostname", map[string]any{
			"plan": "c3.small.x86", "operating_system": "ubuntu_24_04", "metro": []string{"da", "sv"}[l.random.IntN(2)],
		})
	case n < 4 && len(blocks) < 6:
		return l.create(ctx, base, "reservation", "/ips", "details", map[string]any{
			"type": "public_ipv4", "quantity": 1 << l.random.IntN(3), "metro": []string{"da", "sv"}[l.random.IntN(2)],
		})
	case n < 5 && len(vlans) < 6:
		return l.create(ctx, base, "vlan", "/virtual-networks", "description", map[string]any{"metro": "da"})
	case n < 7 && len(blocks) > 0 && len(devices) > 0:
		return l.assignOrNot(ctx, base, pick(blocks), pick(devices))
	case n < 8 && len(devices) > 0:
		return l.delete(ctx, base, pick(devices), "/devices/")
	case n < 9 && len(blocks) > 0:
		return l.delete(ctx, base, pick(blocks), "/ips/")
	case len(vlans) > 0:
		return l.delete(ctx, base, pick(vlans), "/virtual-networks/")
	}
	return true
}

func (l *ledger) create(ctx context.Context, base, kind, path, nameField string, body map[string]any) bool {
	l.count++
	made := &thing{kind: kind, name: fmt.Sprintf("%s-%s-%d", l.name, kind, l.count), created: maybe}
	body[nameField] = made.name
	var answer struct {
		ID      string
		Network string
		VXLAN   int
	}
	switch status := l.ask(ctx, base, http.MethodPost, "/projects/"+l.project+path, body, &answer); status {
	case 0:
		l.things = append(l.things, made)
		return false
	case http.StatusCreated:
		made.created, made.id, made.address = yes, answer.ID, answer.Network
		if kind == "vlan" {
			made.address = fmt.Sprint(answer.VXLAN)
		}
		l.things = append(l.things, made)
		l.acknowledged++
	}
	return true
}

func (l *ledger) delete(ctx context.Context, base string, gone *thing, path string) bool {
	gone.deleted = maybe
	// What a device or a block was assigned goes with it.
	for _, block := range l.things {
		if block == gone || block.holder == gone {
			block.assigned = maybe
		}
	}
	switch status := l.ask(ctx, base, http.MethodDelete, path+gone.id, nil, nil); {
	case status == 0:
		return false
	case status < 300:
		gone.deleted = yes
		l.acknowledged++
	default:
		gone.deleted = no
	}
	return true
}

// assignOrNot gives a block's first address to a device, or takes it away.
func (l *ledger) assignOrNot(ctx context.Context, base string, block, device *thing) bool {
	if block.assigned == maybe {
		return true
	}
	if block.assigned == yes {
		block.assigned = maybe
		switch status := l.ask(ctx, base, http.MethodDelete, "/ips/"+block.assignmentID, nil, nil); {
		case status == 0:
			return false
		case status < 300:
			block.assigned = no
			l.acknowledged++
		}
		return true
	}
	block.assigned, block.holder = maybe, device
	var answer struct{ ID string }
	switch l.ask(ctx, base, http.MethodPost, "/devices/"+device.id+"/ips", map[string]string{"address": block.address + "/32"}, &answer) {
	case 0:
		return false
	case http.StatusCreated:
		block.assigned, block.assignmentID = yes, answer.ID
		l.acknowledged++
	default:
		block.assigned = no
	}
	return true
}

// state is all that a server has of a project.
type state struct {
	Devices []struct {
		ID, Hostname, State string
		IPAddresses         []assignment `json:"ip_addresses"`
	}
	IPAddresses []struct {
		ID, Network, Details string
		CIDR                 int
		Assignments          []assignment
	} `json:"ip_addresses"`
	VirtualNetworks []struct {
		ID, Description string
		VXLAN           int
		MetroCode       string `json:"metro_code"`
	} `json:"virtual_networks"`
}

type assignment struct {
	ID, Network string
	CIDR        int
	Management  bool
	AssignedTo  struct{ Href string } `json:"assigned_to"`
}

func (l *ledger) read(t *testing.T, base string) *state {
	t.Helper()
	all := &state{}
	for _, path := range []string{"/devices?per_page=1000", "/ips?per_page=1000&include=assignments", "/virtual-networks"} {
		if status := l.ask(t.Context(), base, http.MethodGet, "/projects/"+l.project+path, nil, all); status != http.StatusOK {
			t.Fatalf("GET %s: %d", path, status)
		}
	}
	return all
}

// settled waits until no device is on its way.
func (l *ledger) settled(t *testing.T, base string) *state {
	t.Helper()
	var all *state
	eventually(t, "all devices are active or gone", func() bool {
		all = l.read(t, base)
		for _, device := range all.Devices {
			if device.State != "active" {
				return false
			}
		}
		return true
	})
	return all
}

// compare finds what clients were told and is not so, and what is held twice
// or half made. What a client was not told of, it learns.
func compare(t *testing.T, all *state, ledgers []*ledger) {
	t.Helper()
	names := map[string]string{} // IDs by kind and name
	found := func(kind, name, id string) {
		if other, twice := names[kind+" "+name]; twice {
			t.Errorf("%s %q was made twice: %s and %s", kind, name, other, id)
		}
		names[kind+" "+name] = id
	}
	addresses := map[string]string{}
	holders := map[string][]assignment{}
	var blocks, parts []netip.Prefix
	for _, device := range all.Devices {
		found("device", device.Hostname, device.ID)
		own := 0
		for _, ip := range device.IPAddresses {
			parts = append(parts, netip.MustParsePrefix(fmt.Sprintf("%s/%d", ip.Network, ip.CIDR)))
			if ip.Management {
				own++
			}
		}
		if own != 3 {
			t.Errorf("device %s has %d addresses of its own, want 3: it is half made", device.Hostname, own)
		}
	}
	for _, block := range all.IPAddresses {
		blocks = append(blocks, netip.MustParsePrefix(fmt.Sprintf("%s/%d", block.Network, block.CIDR)))
		if block.Details == "" {
			continue
		}
		found("reservation", block.Details, block.ID)
		addresses[block.ID] = block.Network
		holders[block.ID] = block.Assignments
	}
	networks := map[string]string{}
	for _, vlan := range all.VirtualNetworks {
		found("vlan", vlan.Description, vlan.ID)
		key := fmt.Sprintf("%s/%d", vlan.MetroCode, vlan.VXLAN)
		if other := networks[key]; other != "" {
			t.Errorf("VLAN %s is held by %s and by %s", key, other, vlan.ID)
		}
		networks[key] = vlan.ID
		addresses[vlan.ID] = fmt.Sprint(vlan.VXLAN)
	}
	apart(t, "reservation", blocks)
	apart(t, "assignment", parts)
	for _, part := range parts {
		if !slices.ContainsFunc(blocks, func(block netip.Prefix) bool { return block.Overlaps(part) && block.Bits() <= part.Bits() }) {
			t.Errorf("%s is assigned out of no reservation", part)
		}
	}

	for _, l := range ledgers {
		var kept []*thing
		for _, thing := range l.things {
			id, there := names[thing.kind+" "+thing.name]
			delete(names, thing.kind+" "+thing.name)
			switch {
			case there && thing.deleted == yes:
				t.Errorf("%s was deleted, and is there", thing.name)
			case !there && thing.created == yes && thing.deleted == no:
				t.Errorf("%s was made, and is lost", thing.name)
			case there && thing.id != "" && thing.id != id:
				t.Errorf("%s was made as %s and is %s", thing.name, thing.id, id)
			}
			if !there {
				continue
			}
			if thing.address != "" && addresses[id] != thing.address {
				t.Errorf("%s was given %s and has %s", thing.name, thing.address, addresses[id])
			}
			thing.id, thing.created, thing.deleted = id, yes, no
			if thing.kind != "device" {
				thing.address = addresses[id]
			}
			if thing.kind == "reservation" {
				compareAssignment(t, thing, holders[id])
			}
			kept = append(kept, thing)
		}
		l.things = kept
	}
	for name, id := range names {
		t.Errorf("%s (%s) was not asked for", name, id)
	}
}

func compareAssignment(t *testing.T, block *thing, assignments []assignment) {
	t.Helper()
	if len(assignments) > 1 {
		t.Errorf("%s is assigned %d times", block.name, len(assignments))
		return
	}
	there := len(assignments) == 1
	switch {
	case there && block.assigned == no:
		t.Errorf("%s was not assigned, and is", block.name)
	case !there && block.assigned == yes:
		t.Errorf("%s was assigned to %s, and is not", block.name, block.holder.name)
	case there && !strings.HasSuffix(assignments[0].AssignedTo.Href, block.holder.id):
		t.Errorf("%s was assigned to %s and is to %s", block.name, block.holder.id, assignments[0].AssignedTo.Href)
	}
	block.assigned = no
	if there {
		block.assigned, block.assignmentID = yes, assignments[0].ID
	}
}

// apart checks that no two blocks overlap.
func apart(t *testing.T, what string, blocks []netip.Prefix) {
	t.Helper()
	slices.SortFunc(blocks, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	for i := 1; i < len(blocks); i++ {
		if blocks[i-1].Overlaps(blocks[i]) {
			t.Errorf("%s %s overlaps %s: it is held twice", what, blocks[i-1], blocks[i])
		}
	}
}
