// Package imagevector knows the container images that the extension has run in seeds and Shoots.
package imagevector

import (
	_ "embed"
	"fmt"

	"github.com/gardener/gardener/pkg/utils/imagevector"
)

// The names of the images, which an overwrite refers to and charts find them by.
const (
	CloudControllerManager = "packet-cloud-controller-manager"
	MachineDriver          = "machine-controller-manager-provider-packet"
	MetalLBController      = "metallb-controller"
	MetalLBSpeaker         = "metallb-speaker"
)

//go:embed images.yaml
var images []byte

// Read reads the images, with those in their place that the file has which the environment variable IMAGEVECTOR_OVERWRITE names.
// Images of ours get the tag of the release, such as v1.2.0, unless the overwrite gives them another one.
func Read(release string) (imagevector.ImageVector, error) {
	if release == "" {
		return nil, fmt.Errorf("reading the image vector: the release is empty, which is the tag of the extension's own images")
	}
	vector, caBundle, err := imagevector.Read(images)
	if err != nil {
		return nil, fmt.Errorf("reading the image vector: %w", err)
	}
	vector, _, err = imagevector.WithEnvOverride(vector, caBundle, imagevector.OverrideEnv)
	if err != nil {
		return nil, fmt.Errorf("reading the image vector of %s: %w", imagevector.OverrideEnv, err)
	}
	for _, source := range vector {
		// Without a tag, Gardener would take the version of Kubernetes for one.
		ours := source.Name == CloudControllerManager || source.Name == MachineDriver
		if ours && source.Ref == nil && source.Tag == nil {
			source.Tag = &release
		}
	}
	return vector, nil
}

// Find is an image as a container names it, such as packetyard/packet-cloud-controller-manager:v1.2.0.
func Find(vector imagevector.ImageVector, name string) (string, error) {
	image, err := vector.FindImage(name)
	if err != nil {
		return "", fmt.Errorf("looking for the image %s: %w", name, err)
	}
	return image.String(), nil
}
