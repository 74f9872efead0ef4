// Package kubernetes knows the versions of Kubernetes that a machine image
// has, and which of them a machine runs.
//
// A machine image has one executable per version, which is all programs of
// that version (machine/README.md). The machine's programs are links to one of
// these, and the links are all the state there is: they are made when the
// machine boots for the first time, and installing packages points them
// elsewhere.
package kubernetes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// The parts of a machine image.
const (
	// executable is the default version's, and in a version's folder that version's.
	executable = "kube"
	// folder has a folder for each other version, named after it, for example v1.35.4.
	folder = "kubernetes"
	// defaultName is a text file in it that names the default version.
	defaultName = "default"
)

// releases are the tags of released versions, such as v1.36.4 and v1.37.0-rc.1.
var releases = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+([-+_.][0-9A-Za-z-_.]*)?$`)

// Image is a machine image's directory.
type Image struct {
	Directory string
}

// Default is the version that a machine runs unless something else is
// installed, for example v1.36.4. It is empty where the image does not tell.
func (i Image) Default() string {
	content, err := os.ReadFile(filepath.Join(i.Directory, folder, defaultName))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

// Versions are all versions that the image has, oldest first. The directory is
// read every time, so that a version that is added later is found.
func (i Image) Versions() []string {
	var versions []string
	if preset := i.Default(); preset != "" {
		versions = append(versions, preset)
	}
	entries, _ := os.ReadDir(filepath.Join(i.Directory, folder)) // An image with one version needs no folder.
	for _, entry := range entries {
		if name := entry.Name(); releases.MatchString(name) && !slices.Contains(versions, name) && isExecutable(i.file(name)) {
			versions = append(versions, name)
		}
	}
	slices.SortFunc(versions, Compare)
	return versions
}

// Compare orders versions by age. What is no version comes first.
func Compare(a, b string) int {
	first, firstErr := version.ParseGeneric(a)
	second, secondErr := version.ParseGeneric(b)
	switch {
	case firstErr != nil || secondErr != nil:
		return strings.Compare(a, b)
	case first.LessThan(second):
		return -1
	case second.LessThan(first):
		return 1
	}
	return strings.Compare(a, b)
}

func (i Image) file(name string) string {
	return filepath.Join(i.Directory, folder, name, executable)
}

// Executable is the file of a version. Empty stands for the default one.
func (i Image) Executable(version string) (string, error) {
	if version == "" || version == i.Default() {
		return filepath.Join(i.Directory, executable), nil
	}
	if releases.MatchString(version) && isExecutable(i.file(version)) {
		return i.file(version), nil
	}
	return "", UnknownVersionError{Version: version, Known: i.Versions()}
}

// Tagged is the executable for a container image's tag. A tag that names no
// release, such as latest, stands for the default version, and so does every
// tag where the image does not tell its version.
func (i Image) Tagged(tag string) (string, error) {
	if !releases.MatchString(tag) || i.Default() == "" {
		return i.Executable("")
	}
	return i.Executable(tag)
}

// UnknownVersionError is returned for a version that the machine image does not have.
type UnknownVersionError struct {
	Version string
	Known   []string
}

// Error implements error.
func (e UnknownVersionError) Error() string {
	return fmt.Sprintf("the machine image does not have Kubernetes %s, it has %s", e.Version, strings.Join(e.Known, ", "))
}

// Of tells which version a link of a machine leads to; ok is false where it
// leads to no version of this image.
func (i Image) Of(link string) (version string, ok bool) {
	target, err := os.Readlink(link)
	if err != nil {
		return "", false
	}
	if target == filepath.Join(i.Directory, executable) {
		return i.Default(), true
	}
	version = filepath.Base(filepath.Dir(target))
	return version, target == i.file(version) && isExecutable(target)
}

// Select makes a link lead to a version.
func (i Image) Select(version, link string) error {
	target, err := i.Executable(version)
	if err != nil {
		return err
	}
	if present, err := os.Readlink(link); err == nil && present == target {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return fmt.Errorf("making a program's directory: %w", err)
	}
	// The program may be running and started again at any time: its name must
	// never be missing.
	fresh := link + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replacing %s: %w", link, err)
	}
	if err := os.Symlink(target, fresh); err != nil {
		return fmt.Errorf("linking %s: %w", link, err)
	}
	if err := os.Rename(fresh, link); err != nil {
		return fmt.Errorf("replacing %s: %w", link, err)
	}
	return nil
}

func isExecutable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}
