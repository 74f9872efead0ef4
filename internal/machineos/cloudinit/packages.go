package cloudinit

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// aptSources is where repositories are named, one file each.
const aptSources = "/etc/apt/sources.list.d"

// addRepositories writes the repositories of apt.sources, whose keys nobody checks.
func (w *work) addRepositories(c *cloudConfig) {
	raw, there := (*c)["apt"]
	if !there {
		return
	}
	var apt struct {
		Sources map[string]struct {
			Source   string `json:"source"`
			Filename string `json:"filename"`
		} `json:"sources"`
	}
	if err := json.Unmarshal(raw, &apt); err != nil {
		w.fail("apt.sources must be a map of maps with the keys source and filename, and text as values")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(apt.Sources)) {
		entry := apt.Sources[name]
		if entry.Source == "" {
			continue
		}
		file := entry.Filename
		if file == "" {
			file = name
		}
		// As in cloud-init, a name that is a path loses its separators.
		file = strings.TrimSuffix(strings.ReplaceAll(file, "/", "_"), ".list") + ".list"
		if err := os.MkdirAll(w.path(aptSources), 0o755); err != nil {
			w.fail("apt.sources.%s: making the directory of repositories: %w", name, err)
			return
		}
		if err := os.WriteFile(filepath.Join(w.path(aptSources), file), []byte(strings.TrimSpace(entry.Source)+"\n"), 0o644); err != nil {
			w.fail("apt.sources.%s: writing the repository's file: %w", name, err)
		}
	}
}

// installPackages installs the packages, each of which is a name, a name with
// =version, or a list of both.
func (w *work) installPackages(ctx context.Context, c *cloudConfig) {
	items, err := c.list("packages")
	if err != nil {
		w.fail("%w", err)
		return
	}
	var names []string
	for i, item := range items {
		more, err := packageNames(item)
		if err != nil {
			w.fail("packages[%d]: %w", i, err)
			return
		}
		names = append(names, more...)
	}
	if len(names) == 0 {
		return
	}
	if w.Install == nil {
		w.warn("packages is accepted and has no effect: packages are the host's")
		return
	}
	if err := w.Install(ctx, names, w.output); err != nil {
		w.fail("packages: %w", err)
	}
}

func packageNames(item json.RawMessage) ([]string, error) {
	if name, ok := scalar(item); ok {
		return []string{name}, nil
	}
	var pair []json.RawMessage
	if json.Unmarshal(item, &pair) == nil && pair != nil {
		words, err := stringList(item)
		if err != nil {
			return nil, err
		}
		if len(words) == 0 || len(words) > 2 {
			return nil, fmt.Errorf("it is a list of %d, it must be a name and a version", len(words))
		}
		return []string{strings.Join(words, "=")}, nil
	}
	var managers map[string][]json.RawMessage
	if err := json.Unmarshal(item, &managers); err != nil || managers == nil {
		return nil, fmt.Errorf("it is %s, it must be a name, a list of a name and a version, or a map of package managers", shape(item))
	}
	var names []string
	for _, one := range managers["apt"] {
		more, err := packageNames(one)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	return names, nil
}
