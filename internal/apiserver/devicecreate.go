package apiserver

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/hardware"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func (a *API) createDevice(r *request) (response, error) {
	var body struct {
		packet.DeviceCreate
		TerminationTime terminationTime `json:"termination_time"`
	}
	if err := r.decode(&body); err != nil {
		return response{}, err
	}
	input := body.DeviceCreate
	input.TerminationTime = &body.TerminationTime.Timestamp
	projectID := r.id()
	order, err := a.order(input)
	if err != nil {
		return response{}, err
	}

	id := uuid.NewString()
	choice := a.allocator.Choose()
	defer choice.Release()
	err = a.store.Update(r.ctx, func(tx *store.Tx) error {
		// An attempt that failed has chosen for nothing.
		choice.Release()
		return a.addDevice(tx, choice, order, id, projectID, r.token.UserID)
	})
	if err != nil {
		return response{}, err
	}
	answer, err := a.answerDevice(r, http.StatusCreated, id)
	answer.location = href("devices", id)
	return answer, err
}

// addDevice adds a device with all that it has from its first moment to a
// transaction.
func (a *API) addDevice(tx *store.Tx, choice *addresses.Choice, order *order, id, projectID, userID string) error {
	project, ok := tx.Projects.Get(projectID)
	if !ok {
		return errNotFound()
	}
	now := a.clock.Now()
	keys, err := order.sshKeys(tx, project.Value, now)
	if err != nil {
		return err
	}
	place, err := a.place(tx, project, order, now)
	if err != nil {
		return err
	}
	device := order.device(id, projectID, userID, place, keys, now)
	tx.Devices.Create(tx, device)
	if row := place.reservation; row != nil {
		taken := *row.Value
		taken.DeviceID = id
		tx.HardwareReservations.Update(tx, row, &taken)
	}
	return a.addressDevice(tx, choice, project, device, order.network)
}

// terminationTime is a time whose error says which field it is of.
type terminationTime struct{ packet.Timestamp }

// UnmarshalJSON implements json.Unmarshaler.
func (t *terminationTime) UnmarshalJSON(data []byte) error {
	if err := t.Timestamp.UnmarshalJSON(data); err != nil {
		return fmt.Errorf("termination_time: %w", err)
	}
	return nil
}

// device is the record of a new device.
func (o *order) device(id, projectID, userID string, place placement, keys []string, now time.Time) *store.Device {
	device := &store.Device{
		ID:              id,
		ProjectID:       projectID,
		Hostname:        cmp.Or(o.input.Hostname, hardware.ShortID(id)+".packethost.net"),
		Description:     o.input.Description,
		Plan:            o.plan.Slug,
		OperatingSystem: o.system.Slug,
		Metro:           place.facility.Metro.Code,
		Facility:        place.facility.Code,
		Features:        o.features,
		BillingCycle:    cmp.Or(o.input.BillingCycle, "hourly"),
		Tags:            o.input.Tags,
		Userdata:        o.input.Userdata,
		CustomData:      objectOnly(o.input.CustomData),
		Storage:         objectOnly(o.input.Storage),
		IPXEScriptURL:   o.input.IPXEScriptURL,
		AlwaysPXE:       o.input.AlwaysPXE,
		Locked:          o.input.Locked,
		NetworkFrozen:   o.input.NetworkFrozen,
		SpotInstance:    o.input.SpotInstance,
		SpotPriceMax:    o.input.SpotPriceMax,
		SSHKeyIDs:       keys,
		RootPassword:    rand.Text(),
		CreatedBy:       userID,
		CreatedAt:       now,
		UpdatedAt:       now,
	}
	if o.input.TerminationTime != nil && !o.input.TerminationTime.IsZero() {
		device.TerminationTime = &o.input.TerminationTime.Time
	}
	if place.reservation != nil {
		device.HardwareReservationID = place.reservation.Value.ID
	}
	lifecycle.Queue(device, now)
	return device
}

// sshKeys says which keys a device lets in: those that are named, or else all
// of its project and of all members of its organization. Keys that are given
// in full become keys of the project.
func (o *order) sshKeys(tx *store.Tx, project *store.Project, now time.Time) ([]string, error) {
	projectID := project.ID
	var p problems
	var ids []string
	for _, id := range o.input.ProjectSSHKeys {
		row, ok := tx.SSHKeys.Get(id)
		if !ok || row.Value.ProjectID != projectID {
			p.add("project_ssh_keys %q is no SSH key of the project", id)
			continue
		}
		ids = append(ids, id)
	}
	for _, id := range o.input.UserSSHKeys {
		if _, ok := tx.Users.Get(id); !ok || !isMember(tx.Snapshot, project.OrganizationID, id) {
			p.add("user_ssh_keys %q is no user of the project", id)
			continue
		}
		for _, row := range tx.SSHKeys.In(store.OfUser(id)) {
			ids = append(ids, row.Value.ID)
		}
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	for _, input := range o.input.SSHKeys {
		key, err := newSSHKey(input, now)
		if err != nil {
			return nil, err
		}
		if existing := sameKey(tx.SSHKeys.In(store.InProject(projectID)), key); existing != "" {
			ids = append(ids, existing)
			continue
		}
		key.ProjectID = projectID
		tx.SSHKeys.Create(tx, key)
		ids = append(ids, key.ID)
	}
	named := len(o.input.ProjectSSHKeys) + len(o.input.UserSSHKeys) + len(o.input.SSHKeys)
	if named == 0 && !o.input.NoSSHKeys {
		for _, group := range append([]string{store.InProject(projectID)}, membersOf(tx.Snapshot, project.OrganizationID)...) {
			for _, row := range tx.SSHKeys.In(group) {
				ids = append(ids, row.Value.ID)
			}
		}
	}
	return unique(ids), nil
}

// membersOf names the groups of all members of an organization.
func membersOf(s *store.Snapshot, organizationID string) []string {
	var groups []string
	for _, row := range s.Users.All() {
		if isMember(s, organizationID, row.Value.ID) {
			groups = append(groups, store.OfUser(row.Value.ID))
		}
	}
	return groups
}

// unique leaves out what was there before.
func unique(ids []string) []string {
	seen := make(map[string]struct{}, len(ids))
	return slices.DeleteFunc(ids, func(id string) bool {
		_, again := seen[id]
		seen[id] = struct{}{}
		return again
	})
}
