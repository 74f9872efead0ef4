package apiserver

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/hardware"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func vlanAssignmentRoutes() []Route {
	const assignments = "/ports/{id}/vlan-assignments"
	return []Route{
		{http.MethodGet, assignments, "findPortVlanAssignments", (*API).listVLANAssignments, ofPort},
		{http.MethodGet, assignments + "/{assignment_id}", "findPortVlanAssignmentByPortIdAndAssignmentId", (*API).getVLANAssignment, ofPort},
		{http.MethodGet, assignments + "/batches", "findPortVlanAssignmentBatches", (*API).listVLANBatches, ofPort},
		{http.MethodPost, assignments + "/batches", "createPortVlanAssignmentBatch", (*API).createVLANBatch, ofPort},
		{http.MethodGet, assignments + "/batches/{batch_id}", "findPortVlanAssignmentBatchByPortIdAndBatchId", (*API).getVLANBatch, ofPort},
	}
}

const (
	// maxVLANBatch bounds a batch, all of which is one transaction.
	maxVLANBatch = 50
	// keptVLANBatches is how many batches of a port are kept. They are removed
	// with the device, in one transaction.
	keptVLANBatches = 20
)

// vlanAssignment is a virtual network on a port, as it is shown by itself.
type vlanAssignment struct {
	portID string
	store.PortVLAN
}

func (a *API) listVLANAssignments(r *request) (response, error) {
	r.includeByDefault("port", "virtual_network")
	return answerAll(a, r, "vlan_assignments", func(s *store.Snapshot) []*store.Row[vlanAssignment] {
		var rows []*store.Row[vlanAssignment]
		if found, ok := findPort(s, r.id()); ok {
			for _, vlan := range found.ports.On(found.name) {
				rows = append(rows, store.NewRow(&vlanAssignment{portID: found.id(), PortVLAN: vlan}))
			}
		}
		return rows
	}, encodeVLANAssignment)
}

func (a *API) getVLANAssignment(r *request) (response, error) {
	r.includeByDefault("port", "virtual_network")
	return answerFound(a, r, http.StatusOK, func(s *store.Snapshot) (*store.Row[vlanAssignment], bool) {
		found, ok := findPort(s, r.id())
		if !ok {
			return nil, false
		}
		for _, vlan := range found.ports.On(found.name) {
			if vlan.ID == r.http.PathValue("assignment_id") {
				return store.NewRow(&vlanAssignment{portID: found.id(), PortVLAN: vlan}), true
			}
		}
		return nil, false
	}, encodeVLANAssignment)
}

// includeByDefault is for the operations that the document says expand some
// objects unless told otherwise.
func (r *request) includeByDefault(names ...string) {
	if r.query.Has("include") {
		return
	}
	query := url.Values{"include": names}
	for name, values := range r.query {
		query[name] = values
	}
	r.query = query
}

func encodeVLANAssignment(_ *store.Snapshot, row *store.Row[vlanAssignment]) ([]byte, error) {
	v := row.Value
	return json.Marshal(&packet.VLANAssignment{
		ID:             v.ID,
		VLAN:           v.VXLAN,
		Native:         v.Native,
		State:          packet.VLANAssigned,
		Port:           reference("ports", v.portID),
		VirtualNetwork: reference("virtual-networks", v.VirtualNetworkID),
		CreatedAt:      packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:      packet.NewTimestamp(v.UpdatedAt),
	})
}

func vlanBatches(s *store.Snapshot) *store.Table[store.VLANBatch] { return &s.VLANBatches }

func (a *API) listVLANBatches(r *request) (response, error) {
	return answerAll(a, r, "batches", func(s *store.Snapshot) []*store.Row[store.VLANBatch] {
		found, ok := findPort(s, r.id())
		if !ok {
			return nil
		}
		return s.VLANBatches.In(store.OfPort(found.device.Value.ID, found.name))
	}, plain(vlanBatch))
}

func (a *API) getVLANBatch(r *request) (response, error) {
	return answerFound(a, r, http.StatusOK, func(s *store.Snapshot) (*store.Row[store.VLANBatch], bool) {
		row, ok := s.VLANBatches.Get(r.http.PathValue("batch_id"))
		return row, ok && hardware.PortID(row.Value.DeviceID, row.Value.Port) == r.id()
	}, plain(vlanBatch))
}

// createVLANBatch changes the virtual networks of a port, all that the request
// says or nothing. It is done when it is answered, so the batch is completed
// the first time that anybody sees it.
func (a *API) createVLANBatch(r *request) (response, error) {
	var input packet.VLANBatchCreate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	if err := checkVLANBatch(input); err != nil {
		return response{}, err
	}
	id := uuid.NewString()
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		return a.portTransaction(tx, r.id(), func(c *portChange) error {
			batch := &store.VLANBatch{
				ID:        id,
				DeviceID:  c.device.Value.ID,
				ProjectID: c.device.Value.ProjectID,
				Port:      c.name,
				State:     packet.VLANBatchCompleted,
				CreatedAt: c.now,
				UpdatedAt: c.now,
			}
			for _, entry := range input.VLANAssignments {
				done, err := c.apply(entry)
				if err != nil {
					return err
				}
				batch.Entries = append(batch.Entries, done)
			}
			if natives(input) > 0 && len(c.ports.On(c.name)) < 2 {
				return c.tooFewForNative()
			}
			if kept := tx.VLANBatches.In(store.OfPort(batch.DeviceID, batch.Port)); len(kept) >= keptVLANBatches {
				tx.VLANBatches.Delete(tx, kept[0])
			}
			tx.VLANBatches.Create(tx, batch)
			return nil
		})
	})
	if err != nil {
		return response{}, err
	}
	answer, err := answerRow(a, r, http.StatusCreated, vlanBatches, id, plain(vlanBatch))
	answer.location = href("ports", r.id()) + "/vlan-assignments/batches/" + id
	return answer, err
}

func checkVLANBatch(input packet.VLANBatchCreate) error {
	var p problems
	if count := len(input.VLANAssignments); count == 0 || count > maxVLANBatch {
		p.add("vlan_assignments has %d elements, it must have from 1 to %d", count, maxVLANBatch)
	}
	for i, entry := range input.VLANAssignments {
		if entry.VLAN == "" {
			p.add("vlan_assignments[%d].vlan can't be blank: it is a virtual network's UUID or number", i)
		}
		if !slices.Contains([]string{"", packet.VLANAssigned, packet.VLANUnassigned}, entry.State) {
			p.add("vlan_assignments[%d].state %q is not one of: assigned, unassigned", i, entry.State)
		}
	}
	if natives := natives(input); natives > 1 {
		p.add("vlan_assignments has %d elements with native true, a port has one native VLAN", natives)
	}
	return p.err()
}

// natives counts the elements of a batch that ask to be the native VLAN.
func natives(input packet.VLANBatchCreate) int {
	count := 0
	for _, entry := range input.VLANAssignments {
		if entry.Native != nil && *entry.Native && entry.State != packet.VLANUnassigned {
			count++
		}
	}
	return count
}

// apply makes one change of a batch. What is so already stays so, for a batch
// says what shall be.
func (c *portChange) apply(entry packet.VLANBatchEntryCreate) (store.VLANBatchEntry, error) {
	if entry.State == packet.VLANUnassigned {
		device := c.device.Value
		network, ok := findVirtualNetwork(c.tx.Snapshot, device.ProjectID, device.Metro, entry.VLAN)
		if !ok {
			return store.VLANBatchEntry{}, c.notAssigned(entry.VLAN)
		}
		done := store.VLANBatchEntry{VirtualNetworkID: network.Value.ID, VXLAN: network.Value.VXLAN, State: packet.VLANUnassigned}
		if c.assigned(network.Value.ID) < 0 {
			return done, nil
		}
		return done, c.unassign(network.Value.ID)
	}
	network, err := c.network(entry.VLAN)
	if err != nil {
		return store.VLANBatchEntry{}, err
	}
	if c.assigned(network.Value.ID) < 0 {
		if err := c.assign(network); err != nil {
			return store.VLANBatchEntry{}, err
		}
	}
	at := c.assigned(network.Value.ID)
	switch {
	case entry.Native == nil:
	case *entry.Native:
		c.setNative(at)
	case c.ports.VLANs[at].Native:
		c.setNative(-1)
	}
	return store.VLANBatchEntry{
		VirtualNetworkID: network.Value.ID, VXLAN: network.Value.VXLAN, State: packet.VLANAssigned, Native: c.ports.VLANs[at].Native,
	}, nil
}

func vlanBatch(v *store.VLANBatch) *packet.VLANBatch {
	shown := &packet.VLANBatch{
		ID:              v.ID,
		State:           v.State,
		ErrorMessages:   []string{},
		Quantity:        len(v.Entries),
		VLANAssignments: []packet.VLANBatchEntry{},
		Port:            reference("ports", hardware.PortID(v.DeviceID, v.Port)),
		Project:         reference("projects", v.ProjectID),
		CreatedAt:       packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:       packet.NewTimestamp(v.UpdatedAt),
	}
	for _, entry := range v.Entries {
		shown.VLANAssignments = append(shown.VLANAssignments, packet.VLANBatchEntry{
			ID: entry.VirtualNetworkID, VLAN: entry.VXLAN, State: entry.State, Native: entry.Native,
		})
	}
	return shown
}
