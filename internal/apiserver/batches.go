package apiserver

import (
	"encoding/json"
	"net/http"

	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func batchRoutes() []Route {
	return []Route{
		{http.MethodPost, "/projects/{id}/devices/batch", "createDeviceBatch", (*API).createBatches, ofProject},
		{http.MethodGet, "/projects/{id}/batches", "findBatchesByProject", (*API).listBatches, ofProject},
		{http.MethodGet, "/batches/{id}", "findBatchById", (*API).getBatch, ofBatch},
		{http.MethodDelete, "/batches/{id}", "deleteBatch", (*API).deleteBatch, ofBatch},
	}
}

func ofBatch(s *store.Snapshot, id string) (owner, bool) {
	row, ok := s.Batches.Get(id)
	if !ok {
		return owner{}, false
	}
	return owner{project: row.Value.ProjectID}, true
}

func batches(s *store.Snapshot) *store.Table[store.Batch] { return &s.Batches }

func (a *API) listBatches(r *request) (response, error) {
	return answerAll(a, r, "batches", func(s *store.Snapshot) []*store.Row[store.Batch] {
		return s.Batches.In(store.InProject(r.id()))
	}, encodeBatch)
}

func (a *API) getBatch(r *request) (response, error) {
	return answerRow(a, r, http.StatusOK, batches, r.id(), encodeBatch)
}

// encodeBatch shows a batch with those of its devices that there are still.
func encodeBatch(s *store.Snapshot, row *store.Row[store.Batch]) ([]byte, error) {
	v := row.Value
	shown := packet.Batch{
		ID:            v.ID,
		Href:          href("batches", v.ID),
		State:         v.State,
		Quantity:      len(v.Hostnames),
		ErrorMessages: v.Errors,
		Devices:       []packet.Href{},
		Project:       reference("projects", v.ProjectID),
		CreatedAt:     packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:     packet.NewTimestamp(v.UpdatedAt),
	}
	for _, id := range v.DeviceIDs {
		if _, ok := s.Devices.Get(id); ok {
			shown.Devices = append(shown.Devices, packet.Href{Href: href("devices", id)})
		}
	}
	return json.Marshal(shown)
}

// deleteBatch forgets a batch, which is not gone on with then, and its
// devices if they are to go too. Those are gone first, so that whoever asks
// again after a failure finishes what was begun.
func (a *API) deleteBatch(r *request) (response, error) {
	remove := r.query.Get("remove_associated_instances")
	var p problems
	p.unless("remove_associated_instances", remove, "true", "false")
	if err := p.err(); err != nil {
		return response{}, err
	}
	for done := false; !done; {
		err := a.store.Update(r.ctx, func(tx *store.Tx) error {
			row, ok := tx.Batches.Get(r.id())
			if !ok {
				return errNotFound()
			}
			// What is removed now is not made any more in the meantime.
			if done = remove != "true"; !done {
				var err error
				if done, err = a.removeDevices(tx, row.Value.DeviceIDs); err != nil {
					return err
				}
			}
			if done {
				tx.Batches.Delete(tx, row)
			} else {
				tx.Batches.Require(tx, row)
			}
			return nil
		})
		if err != nil {
			return response{}, err
		}
	}
	return noContent()
}

// removeDevices makes some of the devices go that were made together, and
// tells whether these were the last. None goes while one of them is locked.
func (a *API) removeDevices(tx *store.Tx, ids []string) (bool, error) {
	var rows []*store.Row[store.Device]
	for _, id := range ids {
		row, ok := tx.Devices.Get(id)
		if !ok || row.Value.State == packet.StateDeprovisioning {
			continue
		}
		if row.Value.Locked {
			return false, refuse(http.StatusUnprocessableEntity, "Cannot delete a device while it is locked: %s", id)
		}
		rows = append(rows, row)
	}
	last := len(rows) <= recordsAtATime
	for _, row := range rows[:min(len(rows), recordsAtATime)] {
		lifecycle.Remove(tx, row, a.clock.Now())
	}
	return last, nil
}
