package devices

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

// keyLabelPrefix begins the labels of keys that were brought along by machines. The Packet API makes such keys the
// project's; by the label they are told from keys that the project has of its own.
const keyLabelPrefix = "capp:"

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func keyLabel(id Identity, n int) string {
	return fmt.Sprintf("%s%s/%s/%s-%d", keyLabelPrefix, id.Namespace, id.Cluster, id.Machine, n)
}

// keys says who may log in. Without a word about keys, the Packet API authorises those of the project and of the token's
// user, so that "none" has to be said.
func (r Request) keys(ctx context.Context, supply *Supply, create *packet.DeviceCreate) error {
	switch r.Spec.SSHKeyPolicy {
	case infrav1.SSHKeyPolicyNone:
		create.NoSSHKeys = true
		return nil
	case infrav1.SSHKeyPolicyProject:
		ids, err := supply.sshKeys(ctx)
		if err != nil {
			return err
		}
		create.ProjectSSHKeys, create.NoSSHKeys = ids, len(ids) == 0
		return nil
	case infrav1.SSHKeyPolicyProjectAndUser:
		return nil
	}
	for n, key := range r.Spec.SSHKeys {
		if uuid.MatchString(key) {
			create.ProjectSSHKeys = append(create.ProjectSSHKeys, key)
		} else {
			create.SSHKeys = append(create.SSHKeys, packet.SSHKeyCreate{Label: keyLabel(r.Identity, n), Key: key})
		}
	}
	return nil
}

// KeyDeleter deletes SSH keys; packet.Client is one.
type KeyDeleter interface {
	DeleteSSHKey(ctx context.Context, id string) error
}

// PublicKeys are those of a machine's keys that it brings along, rather than naming keys that the project has.
func PublicKeys(keys []string) []string {
	return slices.DeleteFunc(slices.Clone(keys), uuid.MatchString)
}

// ReleaseKeys deletes keys that a machine brought along and that no device has any more (deleteSSHKey). Keys that the
// project had before are left alone, and it is for the caller to leave out those that other machines are going to bring.
// It must not be called before the machine's own device is gone.
func (s *Supply) ReleaseKeys(ctx context.Context, api KeyDeleter, finder *Finder, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	all, err := s.keys.Fresh(ctx)
	if err != nil {
		return fmt.Errorf("listing the SSH keys of project %s: %w", s.projectID, err)
	}
	var released []packet.SSHKey
	for _, key := range all {
		if strings.HasPrefix(key.Label, keyLabelPrefix) && slices.ContainsFunc(keys, func(k string) bool { return sameKey(k, key.Key) }) {
			released = append(released, key)
		}
	}
	if len(released) == 0 {
		return nil
	}
	snapshot, err := finder.lister.Fresh(ctx)
	if err != nil {
		return fmt.Errorf("looking for devices with the machine's SSH keys: %w", err)
	}
	used := map[string]bool{}
	for _, device := range snapshot.Devices() {
		for _, key := range device.SSHKeys {
			used[strings.ToLower(key.ID)], used[strings.ToLower(path.Base(key.Href))] = true, true
		}
	}
	var errs []error
	for _, key := range released {
		if used[strings.ToLower(key.ID)] {
			continue
		}
		if err := api.DeleteSSHKey(ctx, key.ID); err != nil && !packet.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("deleting SSH key %s, which the machine brought along: %w", key.ID, err))
		}
	}
	return errors.Join(errs...)
}

// sameKey tells whether two lines of authorized_keys are the same key, whatever their comments.
func sameKey(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	return len(x) >= 2 && len(y) >= 2 && x[0] == y[0] && x[1] == y[1]
}
