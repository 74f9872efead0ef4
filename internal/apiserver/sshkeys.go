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
		{http.MethodDelete, "/ssh-keys/{id}", "deleteSSHKey", (*API).deleteSSHKey, ofSSHKey},
		{http.MethodGet, "/projects/{id}/ssh-keys", "findProjectSSHKeys", (*API).listProjectSSHKeys, ofProject},
		{http.MethodPost, "/projects/{id}/ssh-keys", "createProjectSSHKey", (*API).createProjectSSHKey, ofProject},
	}
}

func (a *API) listSSHKeys(r *request) (response, error) {
	return a.answerSSHKeys(r, store.OfUser(r.token.UserID), r.query.Get("search"))
}

func (a *API) listProjectSSHKeys(r *request) (response, error) {
	if err := a.mustExist(r.ctx, r.id()); err != nil {
		return response{}, err
	}
	return a.answerSSHKeys(r, store.InProject(r.id()), r.query.Get("query"))
}

// answerSSHKeys lists the keys of a group whose label, key or fingerprint has
// a text in it.
func (a *API) answerSSHKeys(r *request, group, text string) (answer response, err error) {
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		var rows []*store.Row[store.SSHKey]
		for _, row := range s.SSHKeys.In(group) {
			if strings.Contains(row.Value.Label+"\n"+row.Value.Key+"\n"+row.Value.Fingerprint, text) {
				rows = append(rows, row)
			}
		}
		elements, err := encodeRows(rows, sshKey)
		if err != nil {
			return err
		}
		body, err := list("ssh_keys", elements, nil)
		answer = response{status: http.StatusOK, body: body}
		return err
	})
	return answer, err
}

func (a *API) createSSHKey(r *request) (response, error) {
	return a.addSSHKey(r, store.OfUser(r.token.UserID), func(key *store.SSHKey) { key.UserID = r.token.UserID })
}

func (a *API) createProjectSSHKey(r *request) (response, error) {
	if err := a.mustExist(r.ctx, r.id()); err != nil {
		return response{}, err
	}
	return a.addSSHKey(r, store.InProject(r.id()), func(key *store.SSHKey) { key.ProjectID = r.id() })
}

func (a *API) addSSHKey(r *request, group string, own func(*store.SSHKey)) (response, error) {
	var input packet.SSHKeyCreate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	key, err := newSSHKey(input, a.clock.Now())
	if err != nil {
		return response{}, err
	}
	own(key)
	err = a.store.Update(r.ctx, func(tx *store.Tx) error {
		if sameKey(tx.SSHKeys.In(group), key) != "" {
			return refuse(http.StatusUnprocessableEntity, "key %s has already been taken", key.Fingerprint)
		}
		tx.SSHKeys.Create(tx, key)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	answer, err := encode(http.StatusCreated, sshKey(key))
	answer.location = href("ssh-keys", key.ID)
	return answer, err
}

func (a *API) getSSHKey(r *request) (answer response, err error) {
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		row, ok := s.SSHKeys.Get(r.id())
		if !ok {
			return errNotFound()
		}
		body, err := encodeRow(row, sshKey)
		answer = response{status: http.StatusOK, body: body}
		return err
	})
	return answer, err
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
	if err != nil {
		p.add("key %q is not a public key as in authorized_keys: type, base64, comment", input.Key[:min(len(input.Key), 40)])
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
		Tags:        v.Tags,
		CreatedAt:   packet.NewTimestamp(v.CreatedAt),
		UpdatedAt:   packet.NewTimestamp(v.CreatedAt),
	}
}
