package packages

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// sources are where package managers look for the repositories they use.
var sources = []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/*", "/etc/yum.repos.d/*.repo"}

// kubernetesRepository is a line that names a repository of the Kubernetes
// project, which has one for each minor version.
var kubernetesRepository = regexp.MustCompile(`https?://pkgs\.k8s\.io/core:/stable:/v([0-9]+\.[0-9]+)/`)

// minors are the minor versions whose repositories the machine is told to
// use, such as 1.35. There are none where nobody has added any.
func (m Manager) minors() ([]string, error) {
	var minors []string
	for _, pattern := range sources {
		files, err := filepath.Glob(filepath.Join(m.Root, pattern))
		if err != nil {
			return nil, fmt.Errorf("looking for the package repositories: %w", err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("reading the package repositories: %w", err)
			}
			for line := range strings.Lines(string(content)) {
				if strings.HasPrefix(strings.TrimSpace(line), "#") {
					continue
				}
				for _, match := range kubernetesRepository.FindAllStringSubmatch(line, -1) {
					if !slices.Contains(minors, match[1]) {
						minors = append(minors, match[1])
					}
				}
			}
		}
	}
	return minors, nil
}

// candidates are the versions that can be installed, oldest first: those of
// the machine image and, where repositories are configured, of one of these.
func (m Manager) candidates() ([]string, error) {
	minors, err := m.minors()
	if err != nil {
		return nil, err
	}
	var candidates []string
	for _, version := range m.Image.Versions() {
		if len(minors) == 0 || slices.Contains(minors, minor(release(version))) {
			candidates = append(candidates, release(version))
		}
	}
	return candidates, nil
}

// empty are the repositories that the machine image has nothing of.
func (m Manager) empty() ([]string, error) {
	minors, err := m.minors()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(minors, func(one string) bool {
		return slices.ContainsFunc(m.Image.Versions(), func(version string) bool { return minor(release(version)) == one })
	}), nil
}

// minor is the beginning of a version, such as 1.35 of 1.35.4.
func minor(release string) string {
	major, rest, _ := strings.Cut(release, ".")
	number, _, _ := strings.Cut(rest, ".")
	return major + "." + number
}
