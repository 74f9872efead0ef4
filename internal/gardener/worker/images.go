package worker

import (
	"slices"

	"k8s.io/utils/ptr"

	"github.com/gardener/gardener/extensions/pkg/controller/worker"
	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/internal/gardener/faults"
)

func architectureOf(pool extensionsv1alpha1.WorkerPool) string {
	return ptr.Deref(pool.Architecture, v1beta1constants.ArchitectureAMD64)
}

// flavor is a form of a machine image, for machines of some capabilities.
type flavor struct {
	capabilities gardencorev1beta1.Capabilities
	image        v1alpha1.MachineImage
}

// GetCapabilities implements worker.CapabilitiesAccessor.
func (f flavor) GetCapabilities() gardencorev1beta1.Capabilities { return f.capabilities }

// findImage tells what the machine image of a pool is in the Packet API: as the CloudProfile says or, if it no longer has it, as
// the status of the Worker has it from before.
func (in *inputs) findImage(pool extensionsv1alpha1.WorkerPool) (*v1alpha1.MachineImage, error) {
	for _, flavors := range [][]flavor{in.profileFlavors(pool), in.statusFlavors(pool)} {
		image, err := in.best(pool, flavors)
		if err != nil {
			return nil, err
		}
		if image == nil {
			continue
		}
		if ptr.Deref(image.ID, "") == "" && ptr.Deref(image.IPXEScriptURL, "") == "" {
			return nil, faults.Configuration("machine image %s %s for %s has neither an id nor an ipxeScriptUrl in the providerConfig of the CloudProfile",
				image.Name, image.Version, architectureOf(pool))
		}
		return image, nil
	}
	return nil, faults.Configuration("%w", worker.ErrorMachineImageNotFound(pool.MachineImage.Name, pool.MachineImage.Version, architectureOf(pool)))
}

// best is the most fitting one of some flavors of the pool's image, nil if none fits.
func (in *inputs) best(pool extensionsv1alpha1.WorkerPool, flavors []flavor) (*v1alpha1.MachineImage, error) {
	definitions, machine := in.definitions(), in.machineCapabilities(pool)
	fits := func(f flavor) bool {
		return v1beta1helper.AreCapabilitiesCompatible(f.capabilities, machine, definitions)
	}
	if len(definitions) == 0 {
		// Without definitions there is the architecture to go by, and whoever comes first.
		fits = func(f flavor) bool {
			return slices.Contains(f.capabilities[v1beta1constants.ArchitectureName], architectureOf(pool))
		}
	}
	flavors = slices.DeleteFunc(flavors, func(f flavor) bool { return !fits(f) })
	switch {
	case len(flavors) == 0:
		return nil, nil
	case len(definitions) == 0:
		return &flavors[0].image, nil
	}
	found, err := worker.FindBestImageFlavor(flavors, machine, definitions)
	if err != nil {
		return nil, faults.Configuration("choosing a flavor of machine image %s %s for machine type %s: %w",
			pool.MachineImage.Name, pool.MachineImage.Version, pool.MachineType, err)
	}
	return &found.image, nil
}

// profileFlavors are the forms that the pool's image has in the CloudProfile. A version without flavors has one, for machines of
// its architectures.
func (in *inputs) profileFlavors(pool extensionsv1alpha1.WorkerPool) []flavor {
	var flavors []flavor
	add := func(capabilities, recorded gardencorev1beta1.Capabilities, id, ipxeScriptURL *string) {
		flavors = append(flavors, flavor{capabilities: capabilities, image: v1alpha1.MachineImage{
			Name:          pool.MachineImage.Name,
			Version:       pool.MachineImage.Version,
			ID:            id,
			IPXEScriptURL: ipxeScriptURL,
			Architecture:  ptr.To(architectureOf(pool)),
			Capabilities:  recorded,
		}})
	}
	for _, image := range in.profile.MachineImages {
		if image.Name != pool.MachineImage.Name {
			continue
		}
		for _, version := range image.Versions {
			if version.Version != pool.MachineImage.Version {
				continue
			}
			for _, f := range version.CapabilityFlavors {
				add(withArchitecture(f.Capabilities, in.definitions()), f.Capabilities, f.ID, f.IPXEScriptURL)
			}
			if len(version.CapabilityFlavors) == 0 {
				add(ofArchitectures(version.Architectures...), nil, version.ID, version.IPXEScriptURL)
			}
		}
	}
	return flavors
}

// statusFlavors are the forms of the pool's image that machines of this Worker have been made from. They are kept as they are:
// what is not repeated here is lost when the status is written next.
func (in *inputs) statusFlavors(pool extensionsv1alpha1.WorkerPool) []flavor {
	var flavors []flavor
	for _, image := range in.status.MachineImages {
		if image.Name != pool.MachineImage.Name || image.Version != pool.MachineImage.Version {
			continue
		}
		capabilities := ofArchitectures(ptr.Deref(image.Architecture, v1beta1constants.ArchitectureAMD64))
		if len(image.Capabilities) > 0 {
			capabilities = withArchitecture(image.Capabilities, in.definitions())
		}
		flavors = append(flavors, flavor{capabilities: capabilities, image: *image.DeepCopy()})
	}
	return flavors
}

func (in *inputs) definitions() []gardencorev1beta1.CapabilityDefinition {
	return in.cluster.CloudProfile.Spec.MachineCapabilities
}

// machineCapabilities are those of the pool's machine type. One that the CloudProfile no longer has is known by its architecture.
func (in *inputs) machineCapabilities(pool extensionsv1alpha1.WorkerPool) gardencorev1beta1.Capabilities {
	if machineType := in.machineType(pool); machineType != nil && len(machineType.Capabilities) > 0 {
		return machineType.Capabilities
	}
	return ofArchitectures(architectureOf(pool))
}

func (in *inputs) machineType(pool extensionsv1alpha1.WorkerPool) *gardencorev1beta1.MachineType {
	return v1beta1helper.FindMachineTypeByName(in.cluster.CloudProfile.Spec.MachineTypes, pool.MachineType)
}

func ofArchitectures(architectures ...string) gardencorev1beta1.Capabilities {
	if len(architectures) == 0 {
		architectures = []string{v1beta1constants.ArchitectureAMD64}
	}
	return gardencorev1beta1.Capabilities{v1beta1constants.ArchitectureName: architectures}
}

// withArchitecture adds an architecture to capabilities without one where the CloudProfile defines no capabilities: there is no
// definition that it could come from.
func withArchitecture(capabilities gardencorev1beta1.Capabilities, definitions []gardencorev1beta1.CapabilityDefinition) gardencorev1beta1.Capabilities {
	if len(definitions) > 0 || len(capabilities[v1beta1constants.ArchitectureName]) > 0 {
		return capabilities
	}
	return ofArchitectures()
}

// appendImage adds an image to those in use, unless it is among them.
func appendImage(images []v1alpha1.MachineImage, image v1alpha1.MachineImage) []v1alpha1.MachineImage {
	same := func(other v1alpha1.MachineImage) bool {
		return other.Name == image.Name && other.Version == image.Version &&
			ptr.Equal(other.Architecture, image.Architecture) && ptr.Equal(other.ID, image.ID) && ptr.Equal(other.IPXEScriptURL, image.IPXEScriptURL) &&
			v1beta1helper.AreCapabilitiesEqual(other.Capabilities, image.Capabilities)
	}
	if slices.ContainsFunc(images, same) {
		return images
	}
	return append(images, image)
}
