package apiserver

import (
	"slices"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// devicesAtATime keeps a transaction well below the 128 operations that etcd
// allows it by default.
const devicesAtATime = 50

// reaches tells whether a key may be put on a device: a project's key on
// those of the project, a user's on those that the user may see.
func reaches(s *store.Snapshot, v viewer, key *store.SSHKey, device *store.Device) bool {
	if key.ProjectID != "" {
		return device.ProjectID == key.ProjectID
	}
	return v.mayProject(s, device.ProjectID)
}

// checkInstances refuses devices that a new key cannot be put on.
func checkInstances(s *store.Snapshot, v viewer, key *store.SSHKey, ids *[]string) error {
	if ids == nil {
		return nil
	}
	var p problems
	for _, id := range *ids {
		if row, ok := s.Devices.Get(id); !ok || !reaches(s, v, key, row.Value) {
			p.add("instances_ids %q is no device that the key can be put on", shortened(id))
		}
	}
	return p.err()
}

// putOnInstances puts a key on the devices that are named, or on all that it
// can be put on where the list is empty. A nil list is none. It returns when
// all have it; each has it, or not, as a whole.
func (a *API) putOnInstances(r *request, key *store.SSHKey, ids *[]string) error {
	if ids == nil {
		return nil
	}
	targets := slices.Clone(*ids)
	if len(targets) == 0 {
		err := a.store.Read(r.ctx, func(s *store.Snapshot) error {
			for _, row := range s.Devices.All() {
				if reaches(s, r.viewer(), key, row.Value) {
					targets = append(targets, row.Value.ID)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for some := range slices.Chunk(targets, devicesAtATime) {
		err := a.store.Update(r.ctx, func(tx *store.Tx) error {
			for _, id := range some {
				row, ok := tx.Devices.Get(id)
				if !ok || slices.Contains(row.Value.SSHKeyIDs, key.ID) {
					continue
				}
				device := *row.Value
				device.SSHKeyIDs = append(slices.Clone(device.SSHKeyIDs), key.ID)
				device.UpdatedAt = a.clock.Now()
				tx.Devices.Update(tx, row, &device)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
