package apiserver

import (
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/crypto/ssh"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func sshKeyRoutes() []Route {
	return []Route{
		{http.MethodGet, "/ssh-keys", "findSSHKeys", (*API).listSSHKeys, nil},
		{http.MethodPost, "/ssh-keys", "createSSHKey", (*API).createSSHKey, nil},
		{http.MethodGet, "/ssh-keys/{id}", "findSSHKeyById", (*API).getSSHKey, ofSSHKey},
		{http.MethodPut, "/ssh-keys/{id}", "updateSSHKey", (*API).updateSSHKey, ofSSHKey},
		{http.MethodDelete, "/ssh-keys/{id}", "deleteSSHKey", (*API).deleteSSHKey, ofSSHKey},
		{http.MethodGet, "/projects/{id}/ssh-keys", "findProjectSSHKeys", (*API).listProjectSSHKeys, ofProject},
		{http.MethodPost, "/projects/{id}/ssh-keys", "createProjectSSHKey", (*API).createProjectSSHKey, ofProject},
	}
}

func (a *API) listSSHKeys(r *request) (response, error) {
	if err := r.mustBeUser(); err != nil {
		return response{}, err
	}
	return a.answerSSHKeys(r, store.OfUser(r.token.UserID), r.query.Get("search"))
}

func (a *API) listProjectSSHKeys(r *request) (response, error) {
	return a.answerSSHKeys(r, store.InProject(r.id()), r.query.Get("query"))
}

// answerSSHKeys lists the keys of a group whose label, key or fingerprint has
// a text in it.
func (a *API) answerSSHKeys(r *request, group, text string) (response, error) {
	return answerAll(a, r, "ssh_keys", func(s *store.Snapshot) []*store.Row[store.SSHKey] {
		return where(s.SSHKeys.In(group), func(v *store.SSHKey) bool {
			return strings.Contains(v.Label+"\n"+v.Key+"\n"+v.Fingerprint, text)
		})
	}, plain(sshKey))
}

func (a *API) getSSHKey(r *request) (response, error) {
	return answerRow(a, r, http.StatusOK, sshKeys, r.id(), plain(sshKey))
}

func (a *API) createSSHKey(r *request) (response, error) {
	if err := r.mustBeUser(); err != nil {
		return response{}, err
	}
	return a.addSSHKey(r, "")
}

func (a *API) createProjectSSHKey(r *request) (response, error) {
	return a.addSSHKey(r, r.id())
}

// addSSHKey makes a key of the user who asks, or of a project where that is
// given, and puts it on the devices that the request names.
func (a *API) addSSHKey(r *request, projectID string) (response, error) {
	var input packet.SSHKeyCreate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	key, err := newSSHKey(input, a.clock.Now())
	if err != nil {
		return response{}, err
	}
	key.ProjectID = projectID
	if projectID == "" {
		key.UserID = r.token.UserID
	}
	err = a.store.Update(r.ctx, func(tx *store.Tx) error {
		if _, ok := tx.Projects.Get(projectID); projectID != "" && !ok {
			return errNotFound()
		}
		if err := checkInstances(tx.Snapshot, r.viewer(), key, input.InstancesIDs); err != nil {
			return err
		}
		if sameKey(tx.SSHKeys.In(groupOf(key)), key) != "" {
			return refuse(http.StatusUnprocessableEntity, "key %s has already been taken", key.Fingerprint)
		}
		holdOwner(tx, key)
		tx.SSHKeys.Create(tx, key)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	if err := a.putOnInstances(r, key, input.InstancesIDs); err != nil {
		return response{}, err
	}
	answer, err := answerRow(a, r, http.StatusCreated, sshKeys, key.ID, plain(sshKey))
	answer.location = href("ssh-keys", key.ID)
	return answer, err
}

// groupOf names the keys that one is among.
func groupOf(key *store.SSHKey) string {
	if key.ProjectID != "" {
		return store.InProject(key.ProjectID)
	}
	return store.OfUser(key.UserID)
}

// holdOwner writes the owner of a key as it is, so that of two processes that
// take the same key for the same owner one tries again, and finds the other's.
func holdOwner(tx *store.Tx, key *store.SSHKey) {
	if row, ok := tx.Projects.Get(key.ProjectID); ok {
		tx.Projects.Update(tx, row, row.Value)
	} else if row, ok := tx.Users.Get(key.UserID); ok {
		tx.Users.Update(tx, row, row.Value)
	}
}

// updateSSHKey changes a key. Devices that are installed already keep what
// they have; the next installation brings the new one.
func (a *API) updateSSHKey(r *request) (response, error) {
	var input packet.SSHKeyUpdate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.SSHKeys.Get(r.id())
		if !ok {
			return errNotFound()
		}
		wanted := packet.SSHKeyCreate{Label: row.Value.Label, Key: row.Value.Key, Tags: row.Value.Tags}
		set(&wanted.Label, input.Label)
		set(&wanted.Key, input.Key)
		set(&wanted.Tags, input.Tags)
		changed, err := newSSHKey(wanted, row.Value.CreatedAt)
		if err != nil {
			return err
		}
		changed.ID, changed.ProjectID, changed.UserID = row.Value.ID, row.Value.ProjectID, row.Value.UserID
		changed.UpdatedAt = a.clock.Now()
		if other := sameKey(tx.SSHKeys.In(groupOf(changed)), changed); other != "" && other != changed.ID {
			return refuse(http.StatusUnprocessableEntity, "key %s has already been taken", changed.Fingerprint)
		}
		holdOwner(tx, changed)
		tx.SSHKeys.Update(tx, row, changed)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return a.getSSHKey(r)
}

func (a *API) deleteSSHKey(r *request) (response, error) {
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.SSHKeys.Get(r.id())
		if !ok {
			return errNotFound()
		}
		tx.SSHKeys.Delete(tx, row)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return noContent()
}

// newSSHKey checks a key. It belongs to nobody yet.
func newSSHKey(input packet.SSHKeyCreate, now time.Time) (*store.SSHKey, error) {
	var p problems
	if strings.TrimSpace(input.Label) == "" {
		p.add("label can't be blank")
	}
	parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(input.Key))
	switch {
	case err != nil && strings.Contains(input.Key, "PRIVATE KEY"):
		// It must not be repeated.
		p.add("key is a private key, it must be a public key as in authorized_keys: type, base64, comment")
	case err != nil:
		p.add("key %q is not a public key as in authorized_keys: type, base64, comment", shortened(input.Key))
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return &store.SSHKey{
		ID:          uuid.NewString(),
		Label:       input.Label,
		Key:         strings.TrimSpace(input.Key),
		Fingerprint: ssh.FingerprintLegacyMD5(parsed),
		Tags:        input.Tags,
		CreatedAt:   now,
	}, nil
}

// sameKey finds a key among others, whatever its label and comment.
func sameKey(rows []*store.Row[store.SSHKey], key *store.SSHKey) string {
	for _, row := range rows {
		if row.Value.Fingerprint == key.Fingerprint {
			return row.Value.ID
		}
	}
	return ""
}

func sshKey(v *store.SSHKey) *packet.SSHKey {
	entity := reference("users", v.UserID)
	if v.ProjectID != "" {
		entity = reference("projects", v.ProjectID)
	}
	return &packet.SSHKey{
		ID:          v.ID,
		Href:        href("ssh-keys", v.ID),
		Label:       v.Label,
		Key:         v.Key,
		Fingerprint: v.Fingerprint,
		Entity:      entity,
		Owner:       entity,
		Tags:        v.Tags,
		CreatedAt:   packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:   latest(v.CreatedAt, v.UpdatedAt),
	}
}
