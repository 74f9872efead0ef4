package validation

import (
	"fmt"
	"regexp"
	"slices"

	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	gardenerutils "github.com/gardener/gardener/pkg/utils/gardener"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
)

// customIPXE is the operating system that the Packet API knows iPXE scripts by. A script's address says it all.
const customIPXE = "custom_ipxe"

// slug is what the Packet API calls an operating system.
var slug = regexp.MustCompile(`^[a-z0-9]+([_.-][a-z0-9]+)*$`)

// validateMachineImages tells what is wrong with machine images by themselves.
func validateMachineImages(images []v1alpha1.MachineImages, capabilities []gardencorev1beta1.CapabilityDefinition, at *field.Path) field.ErrorList {
	var problems field.ErrorList
	names := sets.New[string]()
	for i, image := range images {
		path := at.Index(i)
		switch {
		case image.Name == "":
			problems = append(problems, field.Required(path.Child("name"), "the name of a machine image of the CloudProfile"))
		case names.Has(image.Name):
			problems = append(problems, field.Duplicate(path.Child("name"), image.Name))
		}
		names.Insert(image.Name)
		if len(image.Versions) == 0 {
			problems = append(problems, field.Required(path.Child("versions"), fmt.Sprintf("at least one version of machine image %q", image.Name)))
		}
		// A version may be there once for each architecture.
		seen := sets.New[string]()
		for j, version := range image.Versions {
			path := path.Child("versions").Index(j)
			if version.Version == "" {
				problems = append(problems, field.Required(path.Child("version"), "a version of the machine image in the CloudProfile"))
			}
			if len(capabilities) > 0 {
				problems = append(problems, validateFlavors(version, capabilities, path)...)
				if seen.Has(version.Version) {
					problems = append(problems, field.Duplicate(path.Child("version"), version.Version))
				}
				seen.Insert(version.Version)
				continue
			}
			problems = append(problems, validatePlainVersion(version, path)...)
			for _, architecture := range architecturesOf(version.Architectures) {
				if key := version.Version + " for " + architecture; seen.Has(key) {
					problems = append(problems, field.Duplicate(path.Child("version"), key))
				} else {
					seen.Insert(key)
				}
			}
		}
	}
	return problems
}

// validatePlainVersion is for a CloudProfile without machineCapabilities.
func validatePlainVersion(version v1alpha1.MachineImageVersion, at *field.Path) field.ErrorList {
	problems := validateOperatingSystem(version.ID, version.IPXEScriptURL, at)
	if len(version.CapabilityFlavors) > 0 {
		problems = append(problems, field.Forbidden(at.Child("capabilityFlavors"), "the CloudProfile has no spec.machineCapabilities: set id or ipxeScriptUrl of the version itself"))
	}
	for i, architecture := range version.Architectures {
		path := at.Child("architectures").Index(i)
		if !slices.Contains(v1beta1constants.ValidArchitectures, architecture) {
			problems = append(problems, field.NotSupported(path, architecture, v1beta1constants.ValidArchitectures))
		} else if slices.Contains(version.Architectures[:i], architecture) {
			problems = append(problems, field.Duplicate(path, architecture))
		}
	}
	return problems
}

// validateFlavors is for a CloudProfile with machineCapabilities.
func validateFlavors(version v1alpha1.MachineImageVersion, capabilities []gardencorev1beta1.CapabilityDefinition, at *field.Path) field.ErrorList {
	var problems field.ErrorList
	const instead = "the CloudProfile has spec.machineCapabilities: set it in capabilityFlavors"
	if version.ID != nil {
		problems = append(problems, field.Forbidden(at.Child("id"), instead))
	}
	if version.IPXEScriptURL != nil {
		problems = append(problems, field.Forbidden(at.Child("ipxeScriptUrl"), instead))
	}
	if len(version.Architectures) > 0 {
		problems = append(problems, field.Forbidden(at.Child("architectures"), instead))
	}
	flavors := at.Child("capabilityFlavors")
	if len(version.CapabilityFlavors) == 0 {
		return append(problems, field.Required(flavors, "the CloudProfile has spec.machineCapabilities: one flavor for each of the version's"))
	}
	var seen []gardencorev1beta1.Capabilities
	for i, flavor := range version.CapabilityFlavors {
		path := flavors.Index(i)
		problems = append(problems, validateOperatingSystem(flavor.ID, flavor.IPXEScriptURL, path)...)
		problems = append(problems, gardenerutils.ValidateCapabilities(flavor.Capabilities, capabilities, path.Child("capabilities"))...)
		whole := gardencorev1beta1.GetCapabilitiesWithAppliedDefaults(flavor.Capabilities, capabilities)
		if slices.ContainsFunc(seen, func(other gardencorev1beta1.Capabilities) bool {
			return v1beta1helper.AreCapabilitiesEqual(whole, other)
		}) {
			problems = append(problems, field.Duplicate(path.Child("capabilities"), flavor.Capabilities.String()))
		}
		seen = append(seen, whole)
	}
	return problems
}

// validateOperatingSystem wants either the slug of an operating system or the address of an iPXE script.
func validateOperatingSystem(id, script *string, at *field.Path) field.ErrorList {
	switch {
	case id == nil && script == nil:
		return field.ErrorList{field.Required(at.Child("id"), "the slug of an operating system of the Packet API, such as ubuntu_24_04, or else ipxeScriptUrl")}
	case id != nil && script != nil:
		return field.ErrorList{field.Forbidden(at.Child("ipxeScriptUrl"), fmt.Sprintf("id is %q: a machine boots either an operating system of the Packet API or an iPXE script", *id))}
	case script != nil:
		return validateURL(*script, at.Child("ipxeScriptUrl"), "https://boot.example.com/flatcar.ipxe")
	case *id == customIPXE:
		return field.ErrorList{field.Invalid(at.Child("id"), *id, "set ipxeScriptUrl in its place")}
	case !slug.MatchString(*id):
		return field.ErrorList{field.Invalid(at.Child("id"), *id, "must be the slug of an operating system of the Packet API: lower case letters and digits, with _, - or . between them, such as ubuntu_24_04")}
	}
	return nil
}

// validateMappings tells which versions, architectures and flavors of a profile's images have no operating system.
func validateMappings(images []v1alpha1.MachineImages, wanted []gardencorev1beta1.MachineImage, capabilities []gardencorev1beta1.CapabilityDefinition, at *field.Path) field.ErrorList {
	var problems field.ErrorList
	for _, image := range wanted {
		for _, version := range image.Versions {
			has := versionsOf(images, image.Name, version.Version)
			if len(has) == 0 {
				problems = append(problems, field.Required(at, fmt.Sprintf("nothing tells the operating system of version %s of machine image %s, which spec.machineImages has", version.Version, image.Name)))
				continue
			}
			if len(capabilities) == 0 {
				for _, architecture := range architecturesOf(version.Architectures) {
					if !hasArchitecture(has, architecture) {
						problems = append(problems, field.Required(at, fmt.Sprintf("nothing tells the operating system of version %s of machine image %s for architecture %s, which spec.machineImages has", version.Version, image.Name, architecture)))
					}
				}
				continue
			}
			for _, flavor := range v1beta1helper.GetImageFlavorsWithAppliedDefaults(version.CapabilityFlavors, capabilities) {
				if !slices.ContainsFunc(has[0].CapabilityFlavors, func(own v1alpha1.MachineImageFlavor) bool {
					return v1beta1helper.AreCapabilitiesEqual(flavor.Capabilities, gardencorev1beta1.GetCapabilitiesWithAppliedDefaults(own.Capabilities, capabilities))
				}) {
					problems = append(problems, field.Required(at, fmt.Sprintf("nothing tells the operating system of version %s of machine image %s for machines with %v, which spec.machineImages has", version.Version, image.Name, flavor.Capabilities)))
				}
			}
		}
	}
	return problems
}

func versionsOf(images []v1alpha1.MachineImages, name, version string) []v1alpha1.MachineImageVersion {
	var result []v1alpha1.MachineImageVersion
	for _, image := range images {
		for _, has := range image.Versions {
			if image.Name == name && has.Version == version {
				result = append(result, has)
			}
		}
	}
	return result
}

func hasArchitecture(versions []v1alpha1.MachineImageVersion, architecture string) bool {
	return slices.ContainsFunc(versions, func(version v1alpha1.MachineImageVersion) bool {
		return slices.Contains(architecturesOf(version.Architectures), architecture)
	})
}
