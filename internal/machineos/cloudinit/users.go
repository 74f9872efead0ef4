package cloudinit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/internal/machineos/accounts"
	"github.com/packetyard/packetyard/internal/machineos/textfile"
)

// userEntry is an entry of users; keys that nothing follows from are left out.
type userEntry struct {
	Name              string          `json:"name"`
	Gecos             string          `json:"gecos"`
	HomeDir           string          `json:"homedir"`
	Shell             string          `json:"shell"`
	PrimaryGroup      string          `json:"primary_group"`
	Groups            json.RawMessage `json:"groups"`
	SSHAuthorizedKeys json.RawMessage `json:"ssh_authorized_keys"`
	Sudo              json.RawMessage `json:"sudo"`
	NoCreateHome      json.RawMessage `json:"no_create_home"`
}

func (w *work) accounts() accounts.Database { return accounts.Database{Root: w.Root} }

// setHostname names the machine as hostname or fqdn say.
func (w *work) setHostname(c *cloudConfig) {
	name, nameErr := c.text("hostname")
	full, fullErr := c.text("fqdn")
	if err := errors.Join(nameErr, fullErr); err != nil {
		w.fail("%w", err)
		return
	}
	if full == "" && strings.Contains(name, ".") {
		full = name
	}
	if name == "" && full == "" || c.boolean("preserve_hostname") {
		return
	}
	if name == "" || strings.Contains(name, ".") {
		name, _, _ = strings.Cut(full, ".")
	}
	chosen := name
	if c.boolean("prefer_fqdn_over_hostname") && full != "" {
		chosen = full
	}
	if err := w.SetHostname(chosen); err != nil {
		w.fail("setting the host name: %w", err)
		return
	}
	if err := textfile.Write(w.path("/etc/hostname"), chosen+"\n"); err != nil {
		w.fail("setting the host name: %w", err)
	}
	names := name
	if full != "" {
		names = full + " " + name
	}
	if err := textfile.Append(w.path("/etc/hosts"), "127.0.1.1 "+names); err != nil {
		w.fail("setting the host name: %w", err)
	}
}

// makeUsers makes accounts, which own nothing: a machine has one user id.
func (w *work) makeUsers(c *cloudConfig) {
	if groups, there := (*c)["groups"]; there {
		w.makeGroups(groups)
	}
	items, err := c.list("users")
	if err != nil {
		w.fail("%w", err)
		return
	}
	for i, item := range items {
		if name, ok := scalar(item); ok {
			if name != "default" {
				w.makeUser(fmt.Sprintf("users[%d]", i), userEntry{Name: name})
			}
			continue
		}
		var entry userEntry
		if err := json.Unmarshal(item, &entry); err != nil {
			w.fail("users[%d] must be a name or a map with the keys name, gecos, homedir, shell, groups, primary_group, sudo and ssh_authorized_keys", i)
			continue
		}
		w.makeUser(fmt.Sprintf("users[%d]", i), entry)
	}
}

func (w *work) makeGroups(raw json.RawMessage) {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		items = []json.RawMessage{raw}
	}
	for _, item := range items {
		var members map[string]json.RawMessage
		if json.Unmarshal(item, &members) == nil {
			for name, raw := range members {
				users, _ := stringList(raw)
				_, _ = w.joinGroup(name, users...) // It has noted its own failure.
			}
			continue
		}
		names, err := stringList(item)
		if err != nil {
			w.fail("groups: %w", err)
			return
		}
		for _, name := range names {
			_, _ = w.joinGroup(name) // It has noted its own failure.
		}
	}
}

func (w *work) makeUser(field string, entry userEntry) {
	if !accounts.ValidName(entry.Name) {
		w.fail("%s.name is %q, it must be a user name of lower case letters, digits, '_', '-' and '.'", field, entry.Name)
		return
	}
	keys, err := stringList(entry.SSHAuthorizedKeys)
	if err != nil {
		w.fail("%s.ssh_authorized_keys: %w", field, err)
		return
	}
	groups, err := stringList(entry.Groups)
	if err != nil {
		w.fail("%s.groups: %w", field, err)
		return
	}
	home, err := w.accounts().Add(accounts.User{
		Name: entry.Name, Gecos: entry.Gecos, Home: entry.HomeDir, Shell: entry.Shell, PrimaryGroup: entry.PrimaryGroup,
	})
	if err != nil {
		w.fail("%s: making the account %s: %w", field, entry.Name, err)
		return
	}
	for _, group := range groups {
		_, _ = w.joinGroup(group, entry.Name) // It has noted its own failure.
	}
	if noHome, _ := scalar(entry.NoCreateHome); !isTrue(noHome) {
		if err := os.MkdirAll(w.path(home), 0o755); err != nil {
			w.fail("%s: making the home directory: %w", field, err)
		}
	}
	if len(keys) > 0 {
		if err := w.accounts().Authorize(home, keys); err != nil {
			w.fail("%s.ssh_authorized_keys: %w", field, err)
		}
	}
	if entry.Name != "root" {
		w.warn("%s: user %s was made in name only: all processes and files of the machine are root's", field, entry.Name)
	}
}

// joinGroup makes a group where there is none, adds members, and returns its id.
func (w *work) joinGroup(name string, members ...string) (int, error) {
	id, err := w.accounts().Join(name, members...)
	if err != nil {
		w.fail("group %s: %w", name, err)
	}
	return id, err
}

// authorizeKeys lets the project's keys and those of the document in as root.
func (w *work) authorizeKeys(c *cloudConfig) {
	keys, err := stringList((*c)["ssh_authorized_keys"])
	if err != nil {
		w.fail("ssh_authorized_keys: %w", err)
	}
	keys = append(slices.Clone(w.Instance.SSHKeys), keys...)
	if len(keys) == 0 {
		return
	}
	if err := w.accounts().Authorize("/root", keys); err != nil {
		w.fail("ssh_authorized_keys: %w", err)
	}
}
