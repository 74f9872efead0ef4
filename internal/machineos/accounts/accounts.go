// Package accounts keeps the users and groups of a machine. They exist in name
// only: all processes and files of a machine are root's.
package accounts

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/packetyard/packetyard/internal/machineos/textfile"
)

// firstID is the first id of people's accounts on Linux, afterLastID follows the last.
const (
	firstID     = 1000
	afterLastID = 60000
)

var name = regexp.MustCompile(`^[a-z_][a-z0-9_.-]*\$?$`)

// ValidName tells whether a user or group may have a name: lower case letters,
// digits, '_', '-' and '.'.
func ValidName(candidate string) bool { return name.MatchString(candidate) }

// Database is a machine's /etc/passwd and /etc/group.
type Database struct {
	// Root is the machine's root directory, / in a machine.
	Root string
}

// User is an account. What is empty gets the usual value.
type User struct {
	Name, Gecos, Home, Shell, PrimaryGroup string
	// ID is nil where any will do.
	ID *int
}

// Add adds an account where there is none of the name, and returns its home directory.
func (d Database) Add(user User) (home string, err error) {
	if !ValidName(user.Name) {
		return "", fmt.Errorf("%q is not the name of a user: it must be of lower case letters, digits, '_', '-' and '.'", user.Name)
	}
	lines, err := textfile.Lines(d.path("/etc/passwd"))
	if err != nil {
		return "", err
	}
	id := firstID
	for _, line := range lines {
		fields := strings.Split(line, ":")
		if len(fields) < 7 {
			continue
		}
		if fields[0] == user.Name {
			return fields[5], nil
		}
		if number, err := strconv.Atoi(fields[2]); err == nil && number >= id && number < afterLastID {
			id = number + 1
		}
	}
	if user.ID != nil {
		id = *user.ID
	}
	home = cmp.Or(user.Home, "/home/"+user.Name)
	shell := cmp.Or(user.Shell, "/bin/bash")
	if strings.ContainsAny(user.Gecos+home+shell, ":\n") {
		return "", errors.New("gecos, homedir and shell must not contain ':' or a line's end")
	}
	group, err := d.Join(cmp.Or(user.PrimaryGroup, user.Name))
	if err != nil {
		return "", err
	}
	line := fmt.Sprintf("%s:x:%d:%d:%s:%s:%s", user.Name, id, group, user.Gecos, home, shell)
	return home, textfile.Append(d.path("/etc/passwd"), line)
}

// Join makes a group where there is none, adds members, and returns its id.
func (d Database) Join(group string, members ...string) (int, error) {
	return d.join(group, nil, members)
}

// AddGroup makes a group with an id where there is none of the name; nil is any id.
func (d Database) AddGroup(group string, id *int) error {
	_, err := d.join(group, id, nil)
	return err
}

func (d Database) join(group string, wanted *int, members []string) (int, error) {
	if !ValidName(group) {
		return 0, fmt.Errorf("%q is not the name of a group", group)
	}
	file := d.path("/etc/group")
	lines, err := textfile.Lines(file)
	if err != nil {
		return 0, err
	}
	next := firstID
	for i, line := range lines {
		fields := strings.Split(line, ":")
		if len(fields) < 4 {
			continue
		}
		id, err := strconv.Atoi(fields[2])
		if fields[0] != group {
			if err == nil && id >= next && id < afterLastID {
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
		return id, textfile.Write(file, strings.Join(lines, "\n")+"\n")
	}
	if wanted != nil {
		next = *wanted
	}
	return next, textfile.Append(file, fmt.Sprintf("%s:x:%d:%s", group, next, strings.Join(members, ",")))
}

// Authorize adds keys to a home directory's authorized_keys, each once.
func (d Database) Authorize(home string, keys []string) error {
	directory := filepath.Join(d.path(home), ".ssh")
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return fmt.Errorf("making %s: %w", directory, err)
	}
	file := filepath.Join(directory, "authorized_keys")
	lines, err := textfile.Lines(file)
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

func (d Database) path(file string) string { return filepath.Join(d.Root, file) }
