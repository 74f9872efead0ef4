package cloudinit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// firstUserID is the first id of people's accounts on Linux.
const firstUserID = 1000

var accountName = regexp.MustCompile(`^[a-z_][a-z0-9_.-]*\$?$`)

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
	if err := writeText(w.path("/etc/hostname"), chosen+"\n"); err != nil {
		w.fail("setting the host name: %w", err)
	}
	names := name
	if full != "" {
		names = full + " " + name
	}
	if err := appendLine(w.path("/etc/hosts"), "127.0.1.1 "+names); err != nil {
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
	if !accountName.MatchString(entry.Name) {
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
	home, err := w.account(entry)
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
		if err := authorize(w.path(home), keys); err != nil {
			w.fail("%s.ssh_authorized_keys: %w", field, err)
		}
	}
	if entry.Name != "root" {
		w.warn("%s: user %s was made in name only: all processes and files of the machine are root's", field, entry.Name)
	}
}

// account adds a line to /etc/passwd where there is none, and returns the
// home directory.
func (w *work) account(entry userEntry) (string, error) {
	lines, err := readLines(w.path("/etc/passwd"))
	if err != nil {
		return "", err
	}
	id := firstUserID
	for _, line := range lines {
		fields := strings.Split(line, ":")
		if len(fields) < 7 {
			continue
		}
		if fields[0] == entry.Name {
			return fields[5], nil
		}
		if number, err := strconv.Atoi(fields[2]); err == nil && number >= id && number < 60000 {
			id = number + 1
		}
	}
	home := entry.HomeDir
	if home == "" {
		home = "/home/" + entry.Name
	}
	shell := entry.Shell
	if shell == "" {
		shell = "/bin/bash"
	}
	group := entry.PrimaryGroup
	if group == "" {
		group = entry.Name
	}
	if strings.ContainsAny(entry.Gecos+home+shell, ":\n") {
		return "", errors.New("gecos, homedir and shell must not contain ':' or a line's end")
	}
	groupID, err := w.joinGroup(group)
	if err != nil {
		return "", err
	}
	line := fmt.Sprintf("%s:x:%d:%d:%s:%s:%s", entry.Name, id, groupID, entry.Gecos, home, shell)
	return home, appendLine(w.path("/etc/passwd"), line)
}

// joinGroup makes a group where there is none, adds members, and returns its id.
func (w *work) joinGroup(name string, members ...string) (int, error) {
	id, err := w.changeGroup(name, members)
	if err != nil {
		w.fail("group %s: %w", name, err)
	}
	return id, err
}

func (w *work) changeGroup(name string, members []string) (int, error) {
	if !accountName.MatchString(name) {
		return 0, fmt.Errorf("%q is not the name of a group", name)
	}
	file := w.path("/etc/group")
	lines, err := readLines(file)
	if err != nil {
		return 0, err
	}
	next := firstUserID
	for i, line := range lines {
		fields := strings.Split(line, ":")
		if len(fields) < 4 {
			continue
		}
		id, err := strconv.Atoi(fields[2])
		if fields[0] != name {
			if err == nil && id >= next && id < 60000 {
				next = id + 1
			}
			continue
		}
		present := strings.FieldsFunc(fields[3], func(r rune) bool { return r == ',' })
		for _, member := range members {
			if !slices.Contains(present, member) {
				present = append(present, member)
			}
		}
		fields[3] = strings.Join(present, ",")
		lines[i] = strings.Join(fields, ":")
		return id, writeText(file, strings.Join(lines, "\n")+"\n")
	}
	return next, appendLine(file, fmt.Sprintf("%s:x:%d:%s", name, next, strings.Join(members, ",")))
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
	if err := authorize(w.path("/root"), keys); err != nil {
		w.fail("ssh_authorized_keys: %w", err)
	}
}

// authorize adds keys to a home directory's authorized_keys, each once.
func authorize(home string, keys []string) error {
	directory := filepath.Join(home, ".ssh")
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return fmt.Errorf("making %s: %w", directory, err)
	}
	file := filepath.Join(directory, "authorized_keys")
	lines, err := readLines(file)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if key = strings.TrimSpace(key); key != "" && !slices.Contains(lines, key) {
			lines = append(lines, key)
		}
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// readLines reads a text file; one that does not exist has none.
func readLines(file string) ([]string, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	var lines []string
	scanner := bufio.NewScanner(bytes.NewReader(content))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	return lines, scanner.Err()
}

func writeText(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("making the directory of %s: %w", file, err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// appendLine adds a line to a file that lacks it.
func appendLine(file, line string) error {
	lines, err := readLines(file)
	if err != nil || slices.Contains(lines, line) {
		return err
	}
	return writeText(file, strings.Join(append(lines, line), "\n")+"\n")
}
