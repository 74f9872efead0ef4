// Package validation tells what is wrong with what users of Gardener write about Packet. Every message names the field, the value
// and what is allowed. Nothing here asks the Packet API: an admission component that does makes a Shoot depend on it.
package validation

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"k8s.io/apimachinery/pkg/util/validation/field"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
)

// ValidateCloudProfileConfig tells what is wrong with the providerConfig of a CloudProfile: by itself, and against the machine
// images and capabilities that the profile has. Images that the profile does not have, or no longer has, are allowed: workers may
// still use them.
func ValidateCloudProfileConfig(config *v1alpha1.CloudProfileConfig, profile *gardencorev1beta1.CloudProfileSpec, at *field.Path) field.ErrorList {
	problems := validateProfileURLs(config, at)
	images := at.Child("machineImages")
	if len(config.MachineImages) == 0 {
		return append(problems, field.Required(images, "the operating system of every machine image of the CloudProfile has to be told"))
	}
	own := validateMachineImages(config.MachineImages, profile.MachineCapabilities, images)
	if problems = append(problems, own...); len(own) > 0 {
		// What does not have its form is not looked for.
		return problems
	}
	return append(problems, validateMappings(config.MachineImages, profile.MachineImages, profile.MachineCapabilities, images)...)
}

// ValidateNamespacedCloudProfileConfig tells what is wrong with the providerConfig of a NamespacedCloudProfile: it has to have every
// version of a machine image that the profile adds to its parent's, and nothing else. Both have to be in the parent's format, as
// NamespacedInParentFormat makes them.
func ValidateNamespacedCloudProfileConfig(config *v1alpha1.CloudProfileConfig, profile *gardencorev1beta1.NamespacedCloudProfileSpec, parent *gardencorev1beta1.CloudProfileSpec, at *field.Path) field.ErrorList {
	problems := validateProfileURLs(config, at)
	images := at.Child("machineImages")
	own := validateMachineImages(config.MachineImages, parent.MachineCapabilities, images)
	if problems = append(problems, own...); len(own) > 0 {
		return problems
	}
	for i, image := range config.MachineImages {
		for j, version := range image.Versions {
			path := images.Index(i).Child("versions").Index(j).Child("version")
			switch {
			case hasVersion(parent.MachineImages, image.Name, version.Version):
				problems = append(problems, field.Forbidden(path, fmt.Sprintf("the parent CloudProfile has version %s of machine image %s already", version.Version, image.Name)))
			case !hasVersion(profile.MachineImages, image.Name, version.Version):
				problems = append(problems, field.NotSupported(path, version.Version, added(profile.MachineImages, parent.MachineImages, image.Name)))
			}
		}
	}
	return append(problems, validateMappings(config.MachineImages, addedImages(profile.MachineImages, parent.MachineImages), parent.MachineCapabilities, images)...)
}

// NamespacedInParentFormat is the providerConfig of a NamespacedCloudProfile as its parent would write it: with capabilityFlavors
// where the parent has machineCapabilities, without where it has none. Gardener's API server transforms spec.machineImages the
// same way.
func NamespacedInParentFormat(config *v1alpha1.CloudProfileConfig, capabilities []gardencorev1beta1.CapabilityDefinition) *v1alpha1.CloudProfileConfig {
	result := config.DeepCopy()
	for i := range result.MachineImages {
		var versions []v1alpha1.MachineImageVersion
		for _, version := range result.MachineImages[i].Versions {
			switch {
			case len(capabilities) > 0 && len(version.CapabilityFlavors) == 0:
				versions = append(versions, withFlavors(version, capabilities))
			case len(capabilities) == 0 && len(version.CapabilityFlavors) > 0:
				versions = append(versions, withoutFlavors(version)...)
			default:
				versions = append(versions, version)
			}
		}
		result.MachineImages[i].Versions = versions
	}
	return result
}

// withFlavors turns the architectures of a version into a flavor each. Where the parent has only one architecture, none is told.
func withFlavors(version v1alpha1.MachineImageVersion, capabilities []gardencorev1beta1.CapabilityDefinition) v1alpha1.MachineImageVersion {
	flavor := v1alpha1.MachineImageFlavor{ID: version.ID, IPXEScriptURL: version.IPXEScriptURL}
	result := v1alpha1.MachineImageVersion{Version: version.Version}
	for _, architecture := range architecturesOf(version.Architectures) {
		flavor := *flavor.DeepCopy()
		if slices.ContainsFunc(capabilities, func(definition gardencorev1beta1.CapabilityDefinition) bool {
			return definition.Name == v1beta1constants.ArchitectureName
		}) {
			flavor.Capabilities = gardencorev1beta1.Capabilities{v1beta1constants.ArchitectureName: {architecture}}
		}
		result.CapabilityFlavors = append(result.CapabilityFlavors, flavor)
	}
	return result
}

// withoutFlavors turns each flavor into a version of its own, with the architectures that the flavor is for.
func withoutFlavors(version v1alpha1.MachineImageVersion) []v1alpha1.MachineImageVersion {
	var result []v1alpha1.MachineImageVersion
	for _, flavor := range version.CapabilityFlavors {
		result = append(result, v1alpha1.MachineImageVersion{
			Version:       version.Version,
			ID:            flavor.ID,
			IPXEScriptURL: flavor.IPXEScriptURL,
			Architectures: flavor.Capabilities[v1beta1constants.ArchitectureName],
		})
	}
	return result
}

func validateProfileURLs(config *v1alpha1.CloudProfileConfig, at *field.Path) field.ErrorList {
	var problems field.ErrorList
	if config.APIURL != nil {
		problems = append(problems, validateURL(*config.APIURL, at.Child("apiURL"), "https://packet.example.com/metal/v1")...)
	}
	if config.MetadataURL == nil {
		return problems
	}
	const example = "http://metadata.packet.net"
	path, wrong := at.Child("metadataURL"), validateURL(*config.MetadataURL, at.Child("metadataURL"), example)
	if len(wrong) > 0 {
		return append(problems, wrong...)
	}
	if parsed, err := url.Parse(*config.MetadataURL); err == nil && (strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "") {
		problems = append(problems, field.Invalid(path, *config.MetadataURL, "must have no path, such as "+example))
	}
	return problems
}

func hasVersion(images []gardencorev1beta1.MachineImage, name, version string) bool {
	return slices.ContainsFunc(images, func(image gardencorev1beta1.MachineImage) bool {
		return image.Name == name && slices.ContainsFunc(image.Versions, func(has gardencorev1beta1.MachineImageVersion) bool {
			return has.Version == version
		})
	})
}

// addedImages are the versions that a NamespacedCloudProfile adds. One that the parent has too is there to change its date of
// expiry, and keeps the parent's operating system.
func addedImages(images, parent []gardencorev1beta1.MachineImage) []gardencorev1beta1.MachineImage {
	var result []gardencorev1beta1.MachineImage
	for _, image := range images {
		image = *image.DeepCopy()
		image.Versions = slices.DeleteFunc(image.Versions, func(version gardencorev1beta1.MachineImageVersion) bool {
			return hasVersion(parent, image.Name, version.Version)
		})
		if len(image.Versions) > 0 {
			result = append(result, image)
		}
	}
	return result
}

// added are the names of the versions of one image that a NamespacedCloudProfile adds.
func added(images, parent []gardencorev1beta1.MachineImage, name string) []string {
	var result []string
	for _, image := range addedImages(images, parent) {
		for _, version := range image.Versions {
			if image.Name == name {
				result = append(result, version.Version)
			}
		}
	}
	return result
}

// architecturesOf is what architectures stand for: none is amd64.
func architecturesOf(architectures []string) []string {
	if len(architectures) == 0 {
		return []string{v1beta1constants.ArchitectureAMD64}
	}
	return architectures
}
