package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
)

// +kubebuilder:object:root=true

// WorkerConfig is the providerConfig of a worker pool. All of it can be left out.
type WorkerConfig struct {
	metav1.TypeMeta `json:",inline"`

	// reservationIDs are the hardware reservations that machines are taken from, in this order; next-available is any that
	// the project has of the machine type in the metro.
	// +optional
	ReservationIDs []string `json:"reservationIDs,omitempty"`
	// reservedDevicesOnly means that no machine is rented on demand when no reservation is left.
	// +optional
	ReservedDevicesOnly *bool `json:"reservedDevicesOnly,omitempty"`
	// spot rents machines on the spot market.
	// +optional
	Spot *Spot `json:"spot,omitempty"`
	// vlans are the IDs of virtual networks of the metro that every machine is put into, besides the Shoot's own.
	// +optional
	VLANs []string `json:"vlans,omitempty"`
	// storage tells how the drives are partitioned, as the field storage of the Packet API's devices does.
	// +optional
	Storage *apiextensionsv1.JSON `json:"storage,omitempty"`
	// nodeTemplate tells the cluster-autoscaler what a machine of the pool offers while there is none, where that is not
	// what the CloudProfile says of the machine type.
	// +optional
	NodeTemplate *extensionsv1alpha1.NodeTemplate `json:"nodeTemplate,omitempty"`
}

// Spot tells how to rent on the spot market.
type Spot struct {
	// maxPrice is the highest price that is paid, in US dollars per hour, as a decimal number such as "0.35".
	MaxPrice string `json:"maxPrice"`
}

// +kubebuilder:object:root=true

// WorkerStatus is the providerStatus of a Worker: the machine images that its pools use. A pool keeps its image when the
// CloudProfile no longer has it.
type WorkerStatus struct {
	metav1.TypeMeta `json:",inline"`

	// machineImages are the images in use.
	// +optional
	MachineImages []MachineImage `json:"machineImages,omitempty"`
}

// MachineImage is what a version of a machine image is in the Packet API.
type MachineImage struct {
	// name is that of the machine image in the CloudProfile.
	Name string `json:"name"`
	// version is that of the machine image in the CloudProfile.
	Version string `json:"version"`
	// id is the slug of the operating system.
	// +optional
	ID *string `json:"id,omitempty"`
	// ipxeScriptUrl is the address of the iPXE script that a device boots, in place of an id.
	// +optional
	IPXEScriptURL *string `json:"ipxeScriptUrl,omitempty"`
	// architecture is that of the machines that use the image.
	// +optional
	Architecture *string `json:"architecture,omitempty"`
	// capabilities are those of the flavor of the image.
	// +optional
	Capabilities gardencorev1beta1.Capabilities `json:"capabilities,omitempty"`
}
