package clusterctl

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/distribution/reference"
)

// errNoComponents says what is missing and how to get it.
var errNoComponents = errors.New("the manifests of the providers (" + strings.Join(componentsFiles(), ", ") +
	") are neither beside this program nor in the folder above it: run `make`, which writes them, or keep them together with the program")

// componentsFiles are the manifests that `make` leaves beside the program.
func componentsFiles() []string {
	var names []string
	for _, provider := range builtInProviders {
		names = append(names, provider.components)
	}
	return names
}

// builtComponents returns the manifests that `make` built, by the names of their files, or nothing if not all of them are
// beside the program or in the folder above it.
func builtComponents() (map[string][]byte, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program's own file: %w", err)
	}
	if resolved, err := filepath.EvalSymlinks(executable); err == nil {
		executable = resolved
	}
	folder := filepath.Dir(executable)
	for _, candidate := range []string{folder, filepath.Dir(folder)} {
		found, err := componentsIn(candidate)
		if err != nil || found != nil {
			return found, err
		}
	}
	return nil, nil
}

// componentsIn returns the manifests in a folder, or nothing if one of them is not there.
func componentsIn(folder string) (map[string][]byte, error) {
	found := map[string][]byte{}
	for _, name := range componentsFiles() {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the manifest of a provider: %w", err)
		}
		found[name] = withFullImageNames(content)
	}
	return found, nil
}

var imageLine = regexp.MustCompile(`(?m)^([ -]*image: *)(\S+)[ \t]*$`)

// withFullImageNames puts the registry in front of image names that leave it
// out. Kubernetes takes docker.io for them; clusterctl refuses them.
func withFullImageNames(manifest []byte) []byte {
	return imageLine.ReplaceAllFunc(manifest, func(line []byte) []byte {
		parts := imageLine.FindSubmatch(line)
		name, err := reference.ParseNormalizedNamed(string(bytes.Trim(parts[2], `"'`)))
		if err != nil {
			// Not the name of an image: the line is left as it is.
			return line
		}
		return append(bytes.Clone(parts[1]), name.String()...)
	})
}
