package units

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// settings is where people's units are, and where links enable them.
const settings = "/etc/systemd/system"

// folders have unit files; the first that has one counts.
var folders = []string{settings, "/run/systemd/system", "/usr/local/lib/systemd/system"}

// targets are what a machine's boot reaches.
var targets = []string{"multi-user.target", "default.target", "graphical.target", "basic.target", "sysinit.target", "local-fs.target", "network-online.target"}

// names are unit names. They are parts of paths.
var names = regexp.MustCompile(`^[A-Za-z0-9:_.\\@-]+\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$`)

// The reasons why there is nothing to start.
var (
	ErrNotFound = errors.New("not found")
	ErrMasked   = errors.New("is masked")
)

// Store is a machine's unit files.
type Store struct {
	// Root is the machine's root directory, / in a machine.
	Root string
}

func (s Store) path(parts ...string) string {
	return filepath.Join(append([]string{s.Root}, parts...)...)
}

// ValidName tells whether a unit may have a name.
func ValidName(name string) bool { return names.MatchString(name) && len(name) < 256 }

// template is the name of the unit file that an instance such as a@b.service is made of.
func template(name string) string {
	before, after, found := strings.Cut(name, "@")
	if !found {
		return name
	}
	return before + "@" + after[strings.LastIndex(after, "."):]
}

// find is the path of a unit's file.
func (s Store) find(name string) (string, error) {
	if !ValidName(name) {
		return "", fmt.Errorf("unit %q: %w: that is not the name of a unit", name, ErrNotFound)
	}
	for _, candidate := range slices.Compact([]string{name, template(name)}) {
		for _, folder := range folders {
			file := s.path(folder, candidate)
			if target, err := os.Readlink(file); err == nil && target == os.DevNull {
				return "", fmt.Errorf("unit %s: %w", name, ErrMasked)
			}
			info, err := os.Stat(file)
			if err == nil && info.Mode().IsRegular() {
				return file, nil
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", fmt.Errorf("unit %s: %w", name, err)
			}
		}
	}
	return "", fmt.Errorf("unit %s: %w", name, ErrNotFound)
}

// Exists tells whether a unit has a file.
func (s Store) Exists(name string) bool {
	_, err := s.find(name)
	return err == nil
}

// Load reads a unit with its drop-ins.
func (s Store) Load(name string) (*Unit, error) {
	file, err := s.find(name)
	if err != nil {
		return nil, err
	}
	documents := [][]byte{}
	for _, one := range append([]string{file}, s.dropIns(name)...) {
		content, err := os.ReadFile(one)
		if err != nil {
			return nil, fmt.Errorf("unit %s: %w", name, err)
		}
		documents = append(documents, content)
	}
	u, err := Parse(name, documents...)
	if err != nil {
		return nil, err
	}
	for suffix, list := range map[string]*[]string{".wants": &u.Wants, ".requires": &u.Requires} {
		linked, err := s.linked(name + suffix)
		if err != nil {
			return nil, err
		}
		*list = append(*list, linked...)
	}
	return u, nil
}

// dropIns are the files of a unit's drop-in directories, in the order of their
// names; a file of an earlier directory hides one of the same name.
func (s Store) dropIns(name string) []string {
	files := map[string]string{}
	var bases []string
	for _, folder := range folders {
		for _, of := range slices.Compact([]string{name, template(name)}) {
			found, _ := filepath.Glob(s.path(folder, of+".d", "*.conf")) // The pattern is well formed.
			for _, file := range found {
				if base := filepath.Base(file); files[base] == "" {
					files[base] = file
					bases = append(bases, base)
				}
			}
		}
	}
	slices.Sort(bases)
	ordered := make([]string, len(bases))
	for i, base := range bases {
		ordered[i] = files[base]
	}
	return ordered
}

// linked are the units that have a link in a directory.
func (s Store) linked(directory string) ([]string, error) {
	var found []string
	for _, folder := range folders {
		entries, err := os.ReadDir(s.path(folder, directory))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading which units are enabled: %w", err)
		}
		for _, entry := range entries {
			if ValidName(entry.Name()) && !slices.Contains(found, entry.Name()) {
				found = append(found, entry.Name())
			}
		}
	}
	return found, nil
}

// Enabled are the units that a boot starts.
func (s Store) Enabled() ([]string, error) {
	var enabled []string
	for _, target := range targets {
		for _, suffix := range []string{".wants", ".requires"} {
			linked, err := s.linked(target + suffix)
			if err != nil {
				return nil, err
			}
			enabled = append(enabled, linked...)
		}
	}
	slices.Sort(enabled)
	return slices.Compact(enabled), nil
}

// IsEnabled tells whether any unit has a link to this one.
func (s Store) IsEnabled(name string) bool {
	found, _ := filepath.Glob(s.path(settings, "*", name)) // The pattern is well formed.
	return slices.ContainsFunc(found, func(link string) bool {
		return strings.HasSuffix(filepath.Dir(link), ".wants") || strings.HasSuffix(filepath.Dir(link), ".requires")
	})
}

// Enable makes the links that the unit's Install section asks for.
func (s Store) Enable(name string) error {
	u, err := s.Load(name)
	if err != nil {
		return err
	}
	file, err := s.find(name)
	if err != nil {
		return err
	}
	target := strings.TrimPrefix(file, filepath.Clean(s.Root))
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	links := map[string][]string{".wants": u.WantedBy, ".requires": u.RequiredBy}
	for suffix, wanting := range links {
		for _, by := range wanting {
			if !ValidName(by) {
				return fmt.Errorf("enabling %s: %q is not the name of a unit", name, by)
			}
			if err := replaceLink(target, s.path(settings, by+suffix, name)); err != nil {
				return fmt.Errorf("enabling %s: %w", name, err)
			}
		}
	}
	for _, alias := range u.Aliases {
		if ValidName(alias) && alias != name {
			if err := replaceLink(target, s.path(settings, alias)); err != nil {
				return fmt.Errorf("enabling %s: %w", name, err)
			}
		}
	}
	return nil
}

// Disable removes all links to the unit.
func (s Store) Disable(name string) error {
	if !ValidName(name) {
		return fmt.Errorf("disabling %q: it is not the name of a unit", name)
	}
	for _, suffix := range []string{"*.wants", "*.requires"} {
		found, _ := filepath.Glob(s.path(settings, suffix, name)) // The pattern is well formed.
		for _, link := range found {
			if err := os.Remove(link); err != nil {
				return fmt.Errorf("disabling %s: %w", name, err)
			}
		}
	}
	return nil
}

// Mask makes it impossible to start the unit.
func (s Store) Mask(name string) error {
	if !ValidName(name) {
		return fmt.Errorf("masking %q: it is not the name of a unit", name)
	}
	file := s.path(settings, name)
	if info, err := os.Lstat(file); err == nil && info.Mode().IsRegular() {
		return fmt.Errorf("masking %s: the file %s exists already, and a link would have to take its place", name, filepath.Join(settings, name))
	}
	return replaceLink(os.DevNull, file)
}

// Unmask undoes Mask.
func (s Store) Unmask(name string) error {
	file := s.path(settings, name)
	if target, _ := os.Readlink(file); target != os.DevNull {
		return nil // It is a file, or not there.
	}
	return os.Remove(file)
}

func replaceLink(target, link string) error {
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return err
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(target, link)
}
