package infrastructure

import (
	"context"
	"fmt"
	"strings"

	"github.com/packetyard/packetyard/pkg/packet"
)

// ensureSSHKey sees to it that the project has the Shoot's SSH key (findProjectSSHKeys, createProjectSSHKey). The API has each
// public key once per project: one that somebody else has added is used, and left alone later.
func (s *scope) ensureSSHKey(ctx context.Context) error {
	if err := s.listSSHKeys(ctx); err != nil {
		return err
	}
	wanted := strings.TrimSpace(string(s.infra.Spec.SSHPublicKey))
	if wanted == "" {
		// The Shoot's owner has turned SSH off.
		s.status.SSHKeyID = ""
		return nil
	}
	if s.useSSHKey(wanted) {
		return nil
	}
	key, err := s.api.CreateProjectSSHKey(ctx, s.project, packet.SSHKeyCreate{Label: s.owner.keyName(), Key: wanted, Tags: s.owner.Tags()})
	if err == nil {
		s.keys = append(s.keys, *key)
		s.status.SSHKeyID, s.state.SSHKeyID = key.ID, key.ID
		return nil
	}
	// It is refused too when somebody else has added it a moment ago.
	if packet.IsUnprocessable(err) && s.listSSHKeys(ctx) == nil && s.useSSHKey(wanted) {
		return nil
	}
	return fmt.Errorf("adding the SSH key %s to the project: %w", s.owner.keyName(), err)
}

// useSSHKey uses the key that has this public key, if there is one.
func (s *scope) useSSHKey(wanted string) bool {
	for _, key := range s.keys {
		if !samePublicKey(key.Key, wanted) {
			continue
		}
		s.status.SSHKeyID = key.ID
		if s.owner.isOurs(key) {
			s.state.SSHKeyID = key.ID
		}
		return true
	}
	return false
}

func (s *scope) listSSHKeys(ctx context.Context) error {
	keys, err := s.api.ProjectSSHKeys(ctx, s.project)
	if err != nil {
		return fmt.Errorf("listing the SSH keys of the project: %w", err)
	}
	s.keys = keys
	return nil
}

// removeOldSSHKeys removes the Shoot's keys but for the one in use (deleteSSHKey). Devices keep what they were installed with.
func (s *scope) removeOldSSHKeys(ctx context.Context) error {
	for _, key := range s.keys {
		if key.ID == s.status.SSHKeyID || !s.owner.isOurs(key) && key.ID != s.state.SSHKeyID {
			continue
		}
		if err := s.api.DeleteSSHKey(ctx, key.ID); err != nil && !packet.IsNotFound(err) {
			return fmt.Errorf("deleting the SSH key %s (%s): %w", key.Label, key.ID, err)
		}
		if s.state.SSHKeyID == key.ID {
			s.state.SSHKeyID = ""
		}
	}
	return nil
}

// samePublicKey compares two lines of authorized_keys files by algorithm and key, whatever their comments.
func samePublicKey(a, b string) bool {
	left, right := strings.Fields(a), strings.Fields(b)
	return len(left) > 1 && len(right) > 1 && left[0] == right[0] && left[1] == right[1]
}
