package rack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/packetyard/packetyard/internal/machines"
)

// Names in a machine's directory, besides those of the packages boot and wire.
const (
	specName = "spec.json"
	pidName  = "pid.json"
)

// record is what the rack remembers of a machine, in spec.json.
type record struct {
	Spec machines.Spec `json:"spec"`
	// Power is the state that the machine ought to be in, after a failure of the power too.
	Power machines.PowerState `json:"power"`
	// Rescue is set while the machine is to boot from the rescue system.
	Rescue bool `json:"rescue,omitempty"`
}

// identifier is what may name a machine: it becomes the name of a directory.
var identifier = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z-]{0,63}$`)

// hostname is what the kernel takes and /etc/hosts can hold.
var hostname = regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z.-]{0,62}[0-9A-Za-z])?$`)

func checkSpec(spec machines.Spec) error {
	if !identifier.MatchString(spec.ID) {
		return fmt.Errorf("id: %q is not allowed, 1 to 64 letters, digits and hyphens are", spec.ID)
	}
	if !hostname.MatchString(spec.Hostname) {
		return fmt.Errorf("hostname: %q is not allowed, 1 to 64 letters, digits, hyphens and dots are", spec.Hostname)
	}
	return nil
}

// readRecords reads all machines in a rack's directory.
func readRecords(directory string) ([]record, error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, fmt.Errorf("listing machines: %w", err)
	}
	var records []record
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		var found record
		err := readJSON(filepath.Join(directory, entry.Name(), specName), &found)
		if errors.Is(err, fs.ErrNotExist) {
			// Being made or being removed when the rack died; its maker asks again.
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("machine %s: %w", entry.Name(), err)
		}
		records = append(records, found)
	}
	return records, nil
}

func readJSON(path string, value any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading a file: %w", err)
	}
	if err := json.Unmarshal(content, value); err != nil {
		return fmt.Errorf("decoding %s: %w", path, err)
	}
	return nil
}

// writeJSON replaces a file in one step, so that a reader never sees half of it.
func writeJSON(path string, value any) error {
	content, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", path, err)
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing a file: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("replacing a file: %w", err)
	}
	return nil
}

// RemoveTree removes a directory with all that is in it, also where a
// machine left directories that not even their owner may write to or read.
// What is not there is no error.
func RemoveTree(path string) error {
	if os.RemoveAll(path) == nil {
		return nil
	}
	// Permissions are given from the top down, so each directory can be read when its turn comes.
	err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if entry.IsDir() {
			return os.Chmod(name, 0o700)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("making %s removable: %w", path, err)
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("removing a directory: %w", err)
	}
	return nil
}
