package bastion

import (
	"slices"

	extensionsbastion "github.com/gardener/gardener/extensions/pkg/bastion"
	extensionsworker "github.com/gardener/gardener/extensions/pkg/controller/worker"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"k8s.io/utils/ptr"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/internal/gardener/decode"
	"github.com/packetyard/packetyard/internal/gardener/faults"
)

// customIPXE is the operating system of a device that boots an iPXE script.
const customIPXE = "custom_ipxe"

// machine is what a bastion's device is made of.
type machine struct {
	plan, operatingSystem, ipxeScriptURL string
}

// chooseMachine takes machine type and image from the CloudProfile: those of its section bastion, or the smallest machine type
// that an image supports.
func chooseMachine(profile *gardencorev1beta1.CloudProfile) (machine, error) {
	spec, err := extensionsbastion.GetMachineSpecFromCloudProfile(profile)
	if err != nil {
		return machine{}, faults.Configuration("choosing machine type and image of bastions: %w", err)
	}
	config, err := decode.CloudProfileConfig(profile.Spec.ProviderConfig)
	if err != nil {
		return machine{}, faults.Configuration("the CloudProfile's providerConfig: %w", err)
	}
	image, err := findImage(config, spec, profile.Spec.MachineCapabilities)
	if err != nil {
		return machine{}, err
	}
	chosen := machine{plan: spec.MachineTypeName, operatingSystem: ptr.Deref(image.id, ""), ipxeScriptURL: ptr.Deref(image.ipxeScriptURL, "")}
	if chosen.ipxeScriptURL != "" {
		chosen.operatingSystem = customIPXE
	}
	if chosen.operatingSystem == "" {
		return machine{}, faults.Configuration("machine image %s %s, which bastions have, has neither an id nor an ipxeScriptUrl in the CloudProfile's providerConfig",
			spec.ImageBaseName, spec.ImageVersion)
	}
	return chosen, nil
}

// flavor is a form of a machine image.
type flavor struct {
	capabilities      gardencorev1beta1.Capabilities
	id, ipxeScriptURL *string
}

// GetCapabilities implements the accessor of Gardener's search.
func (f flavor) GetCapabilities() gardencorev1beta1.Capabilities { return f.capabilities }

func findImage(config *v1alpha1.CloudProfileConfig, spec extensionsbastion.MachineSpec, definitions []gardencorev1beta1.CapabilityDefinition) (flavor, error) {
	var flavors []flavor
	for _, image := range config.MachineImages {
		for _, version := range image.Versions {
			if image.Name == spec.ImageBaseName && version.Version == spec.ImageVersion {
				flavors = append(flavors, flavorsOf(version, spec.Architecture, len(definitions) > 0)...)
			}
		}
	}
	if len(definitions) > 0 && len(flavors) > 0 {
		found, err := extensionsworker.FindBestImageFlavor(flavors, spec.MachineTypeCapabilities, definitions)
		if err != nil {
			return flavor{}, faults.Configuration("machine image %s %s for machine type %s: %w", spec.ImageBaseName, spec.ImageVersion, spec.MachineTypeName, err)
		}
		return found, nil
	}
	if len(flavors) == 0 {
		return flavor{}, faults.Configuration("machine image %s %s for %s, which bastions have, is not in the CloudProfile's providerConfig",
			spec.ImageBaseName, spec.ImageVersion, spec.Architecture)
	}
	return flavors[0], nil
}

// flavorsOf are the forms of a version: by capabilities where the CloudProfile defines them, else those for an architecture.
func flavorsOf(version v1alpha1.MachineImageVersion, architecture string, byCapabilities bool) []flavor {
	var flavors []flavor
	for _, f := range version.CapabilityFlavors {
		if byCapabilities || slices.Contains(f.Capabilities[v1beta1constants.ArchitectureName], architecture) {
			flavors = append(flavors, flavor{f.Capabilities, f.ID, f.IPXEScriptURL})
		}
	}
	if len(version.CapabilityFlavors) > 0 {
		return flavors
	}
	architectures := version.Architectures
	if len(architectures) == 0 {
		architectures = []string{v1beta1constants.ArchitectureAMD64}
	}
	if !byCapabilities && !slices.Contains(architectures, architecture) {
		return nil
	}
	return []flavor{{gardencorev1beta1.Capabilities{v1beta1constants.ArchitectureName: architectures}, version.ID, version.IPXEScriptURL}}
}
