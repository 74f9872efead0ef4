package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
)

// +kubebuilder:object:root=true

// CloudProfileConfig is the providerConfig of a CloudProfile or NamespacedCloudProfile.
type CloudProfileConfig struct {
	metav1.TypeMeta `json:",inline"`

	// apiURL is where the Packet API answers, such as https://packet.example.com/metal/v1. A Secret may name another one
	// in its field apiURL; without either, the extension's own configuration says.
	// +optional
	APIURL *string `json:"apiURL,omitempty"`

	// metadataURL is where machines find the metadata service, such as http://metadata.packet.net, without a path. Without
	// it, the extension's own configuration says.
	// +optional
	MetadataURL *string `json:"metadataURL,omitempty"`

	// machineImages tells for the machine images of the CloudProfile which operating system of the Packet API each is.
	MachineImages []MachineImages `json:"machineImages"`
}

// MachineImages are the versions of a machine image.
type MachineImages struct {
	// name is that of the machine image in the CloudProfile, such as ubuntu.
	Name string `json:"name"`
	// versions are the known versions of the machine image.
	Versions []MachineImageVersion `json:"versions"`
}

// MachineImageVersion tells what a version of a machine image is in the Packet API. In a CloudProfile without
// machineCapabilities the version has an id or an ipxeScriptUrl itself; in one with them its capabilityFlavors have.
type MachineImageVersion struct {
	// version is that of the machine image in the CloudProfile, such as 24.4.0.
	Version string `json:"version"`
	// id is the slug of the operating system, such as ubuntu_24_04.
	// +optional
	ID *string `json:"id,omitempty"`
	// ipxeScriptUrl is the address of the iPXE script that a device boots, in place of an id.
	// +optional
	IPXEScriptURL *string `json:"ipxeScriptUrl,omitempty"`
	// architectures are those of the machines that the image runs on: amd64 or arm64. Left out, it is amd64.
	// +optional
	Architectures []string `json:"architectures,omitempty"`
	// capabilityFlavors are the forms that this version comes in, each for machines of some capabilities.
	// +optional
	CapabilityFlavors []MachineImageFlavor `json:"capabilityFlavors,omitempty"`
}

// MachineImageFlavor tells what a machine image is in the Packet API for machines of some capabilities.
type MachineImageFlavor struct {
	// capabilities are those that machines must have, such as architecture: [amd64].
	// +optional
	Capabilities gardencorev1beta1.Capabilities `json:"capabilities,omitempty"`
	// id is the slug of the operating system.
	// +optional
	ID *string `json:"id,omitempty"`
	// ipxeScriptUrl is the address of the iPXE script that a device boots, in place of an id.
	// +optional
	IPXEScriptURL *string `json:"ipxeScriptUrl,omitempty"`
}
