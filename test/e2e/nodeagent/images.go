//go:build e2e

package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/spf13/afero"

	nodeagentcontainerd "github.com/gardener/gardener/pkg/nodeagent/containerd"
	"github.com/gardener/gardener/pkg/nodeagent/registry"
)

// machineImage is where a machine has the machine image: its programs are what containers run, and what images consist of.
const machineImage = "/opt/packetyard"

// images takes files out of container images that are not pulled from anywhere.
type images struct{ files afero.Afero }

var _ registry.Extractor = images{}

// CopyFromImage links a program of the machine image. Kubernetes' programs have the version of the image's tag.
func (i images) CopyFromImage(_ context.Context, image, file, destination string, _ os.FileMode) error {
	name, tag, _ := strings.Cut(path.Base(image), ":")
	tag, _, _ = strings.Cut(tag, "@")
	program := filepath.Join(machineImage, "images", name)
	if name == "hyperkube" {
		program = i.kubernetes(tag)
	}
	if _, err := i.files.Stat(program); err != nil {
		return fmt.Errorf("taking %s out of %s: %w", file, image, err)
	}
	if err := i.files.MkdirAll(filepath.Dir(destination), 0o755); err != nil {
		return fmt.Errorf("making the folder of %s: %w", destination, err)
	}
	// A program that runs cannot be written to, but its name can be given to another one.
	fresh := destination + ".new"
	_ = os.Remove(fresh)
	if err := os.Symlink(program, fresh); err != nil {
		return fmt.Errorf("linking %s: %w", destination, err)
	}
	return os.Rename(fresh, destination)
}

// kubernetes is the executable of a version, which is all of its programs by the name that it is called by.
func (i images) kubernetes(version string) string {
	preset, err := i.files.ReadFile(filepath.Join(machineImage, "kubernetes", "default"))
	if err == nil && strings.TrimSpace(string(preset)) == version {
		return filepath.Join(machineImage, "kube")
	}
	return filepath.Join(machineImage, "kubernetes", version, "kube")
}

// runtimeVersion is what the machine's own container runtime answers in place of containerd. Gardener asks for it, because
// containerd's configuration file depends on it, which nobody reads in a simulated machine.
type runtimeVersion struct{}

var _ nodeagentcontainerd.Client = runtimeVersion{}

// Version implements Client.
func (runtimeVersion) Version(context.Context) (containerd.Version, error) {
	return containerd.Version{Version: "v2.2.0"}, nil
}
