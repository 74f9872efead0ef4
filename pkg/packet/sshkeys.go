package packet

import (
	"context"
	"net/http"
)

// SSHKey is a public key that devices let in.
type SSHKey struct {
	ID          string `json:"id,omitempty"`
	Href        string `json:"href,omitempty"`
	Label       string `json:"label,omitempty"`
	Key         string `json:"key,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
	Entity      *Href  `json:"entity,omitempty"`
	// Owner is the same as Entity: the document has the one, and the service
	// answered with the other too, which clients read.
	Owner     *Href      `json:"owner,omitempty"`
	Tags      []string   `json:"tags,omitempty"`
	CreatedAt *Timestamp `json:"created_at,omitempty"`
	UpdatedAt *Timestamp `json:"updated_at,omitempty"`
}

// SSHKeyList is the answer to listing keys, which has no pages.
type SSHKeyList struct {
	SSHKeys []SSHKey `json:"ssh_keys"`
}

// SSHKeyCreate is a new key. Key is a line of an authorized_keys file.
type SSHKeyCreate struct {
	Label string   `json:"label"`
	Key   string   `json:"key"`
	Tags  []string `json:"tags,omitempty"`
	// InstancesIDs are devices to put the key on at once. An empty list that is
	// not nil stands for all that the key's project or user has.
	InstancesIDs *[]string `json:"instances_ids,omitempty"`
}

// SSHKeyUpdate changes what is not nil of a key (updateSSHKey).
type SSHKeyUpdate struct {
	Label *string   `json:"label,omitempty"`
	Key   *string   `json:"key,omitempty"`
	Tags  *[]string `json:"tags,omitempty"`
}

// ProjectSSHKeys lists a project's keys.
func (c *Client) ProjectSSHKeys(ctx context.Context, projectID string) ([]SSHKey, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	return listAll(ctx, c, listing[SSHKeyList, SSHKey]{
		operation: "findProjectSSHKeys",
		path:      "/projects/" + projectID + "/ssh-keys",
		items:     func(l *SSHKeyList) ([]SSHKey, *Meta) { return l.SSHKeys, nil },
		id:        sshKeyID,
	})
}

// CreateProjectSSHKey adds a key to a project.
func (c *Client) CreateProjectSSHKey(ctx context.Context, projectID string, create SSHKeyCreate) (*SSHKey, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	return send(ctx, c, request{
		operation: "createProjectSSHKey", method: http.MethodPost, path: "/projects/" + projectID + "/ssh-keys", body: create,
	}, sshKeyID)
}

// DeleteSSHKey deletes a key. Devices that have it keep it.
func (c *Client) DeleteSSHKey(ctx context.Context, id string) error {
	if err := checkID("SSH key", id); err != nil {
		return err
	}
	return c.do(ctx, request{operation: "deleteSSHKey", method: http.MethodDelete, path: "/ssh-keys/" + id})
}

func sshKeyID(k *SSHKey) string { return k.ID }
