package clusterctl

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/templates"
)

const (
	// infrastructureLabel is the folder of the provider in a repository, as
	// clusterctl derives it from the provider's type and name.
	infrastructureLabel = "infrastructure-" + ProviderName
	// componentsFile is the file that clusterctl installs a provider from.
	componentsFile = "infrastructure-components.yaml"
)

// files are the contents of a repository of providers in clusterctl's layout,
// <provider label>/<version>/<file>, by their slash-separated path.
type files map[string][]byte

// repositoryFiles returns the repository of the built-in providers: the embedded
// templates and metadata, and the manifests that `make` built if they are there.
func repositoryFiles() (files, error) {
	repository := files{}
	entries, err := fs.ReadDir(templates.Files, ".")
	if err != nil {
		return nil, fmt.Errorf("listing the embedded templates: %w", err)
	}
	for _, entry := range entries {
		content, err := fs.ReadFile(templates.Files, entry.Name())
		if err != nil {
			return nil, fmt.Errorf("reading an embedded template: %w", err)
		}
		repository[path.Join(infrastructureLabel, Version, entry.Name())] = content
	}
	components, err := builtComponents()
	if err != nil {
		return nil, err
	}
	for _, provider := range builtInProviders {
		folder := path.Join(provider.label, provider.version)
		if provider.label != infrastructureLabel {
			repository[path.Join(folder, "metadata.yaml")] = []byte(clusterAPIMetadata)
		}
		if components != nil {
			repository[path.Join(folder, provider.components)] = components[provider.components]
		}
	}
	return repository, nil
}

func (f files) hasComponents() bool {
	_, found := f[path.Join(infrastructureLabel, Version, componentsFile)]
	return found
}

// location returns the folder of this repository in the cache. It is named after
// the contents, so that two builds of the program, running at the same time,
// never read each other's files.
func (f files) location(cache string) string {
	digest := sha256.New()
	for _, name := range f.names() {
		fmt.Fprintf(digest, "%s\x00%d\x00", name, len(f[name]))
		digest.Write(f[name])
	}
	return filepath.Join(cache, hex.EncodeToString(digest.Sum(nil))[:16])
}

func (f files) names() []string {
	names := make([]string, 0, len(f))
	for name := range f {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// write lays the files out in a folder. Each file is complete as soon as it has
// its name, and a file that is right stays untouched, so runs at the same time
// do not disturb each other, and a damaged file is mended.
func (f files) write(folder string) error {
	for _, name := range f.names() {
		target := filepath.Join(folder, filepath.FromSlash(name))
		current, err := os.ReadFile(target)
		if err == nil && bytes.Equal(current, f[name]) {
			continue
		}
		if err := writeAtomically(target, f[name]); err != nil {
			return fmt.Errorf("%w (set XDG_CACHE_HOME to a folder that can be written)", err)
		}
	}
	return nil
}

func writeAtomically(target string, content []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("making a folder for provider files: %w", err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(target), ".new-*")
	if err != nil {
		return fmt.Errorf("making a provider file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary.Name())
		}
	}()
	if _, err := temporary.Write(content); err != nil {
		_ = temporary.Close()
		return fmt.Errorf("writing a provider file: %w", err)
	}
	if err := temporary.Close(); err != nil {
		return fmt.Errorf("writing a provider file: %w", err)
	}
	if err := os.Rename(temporary.Name(), target); err != nil {
		return fmt.Errorf("putting a provider file in place: %w", err)
	}
	return nil
}

// cacheDirectory returns the folder for repositories: packetyard/clusterctl in
// XDG_CACHE_HOME, or in ~/.cache.
func cacheDirectory() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder: %w", err)
	}
	return filepath.Join(cache, "packetyard", "clusterctl"), nil
}

// fileURL returns the URL of a file for the list of providers. clusterctl
// substitutes variables in it, so a dollar sign is escaped.
func fileURL(elements ...string) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(elements...))}
	return strings.ReplaceAll(u.String(), "$", "%24")
}
