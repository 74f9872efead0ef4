package clusterctl

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/distribution/reference"
)

// builtComponentsFile is the manifest that `make` leaves beside the program.
const builtComponentsFile = "provider-components.yaml"

// errNoComponents says what is missing and how to get it.
var errNoComponents = errors.New("the manifest of the packet provider, " + builtComponentsFile +
	", is neither beside this program nor in the folder above it: run `make`, which writes it, or keep the two files together")

// builtComponents returns the manifest that `make` built, or nothing if there is
// none beside the program or in the folder above it, where a checkout has it.
func builtComponents() ([]byte, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program's own file: %w", err)
	}
	if resolved, err := filepath.EvalSymlinks(executable); err == nil {
		executable = resolved
	}
	folder := filepath.Dir(executable)
	for _, candidate := range []string{folder, filepath.Dir(folder)} {
		content, err := os.ReadFile(filepath.Join(candidate, builtComponentsFile))
		if err == nil {
			return withFullImageNames(content), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading the provider's manifest: %w", err)
		}
	}
	return nil, nil
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
