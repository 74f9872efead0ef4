// Package v1alpha1 is the providerSpec of machine-controller-manager's MachineClasses of provider packet. The Gardener
// extension writes it and the machine driver reads it; who runs machine-controller-manager without Gardener writes it by hand.
//
// +kubebuilder:object:generate=true
package v1alpha1

import apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

const (
	// APIVersion is the apiVersion of a ProviderSpec. One without any is taken for this one.
	APIVersion = "packet.machine.gardener.cloud/v1alpha1"
	// Kind is the kind of a ProviderSpec. It can be left out.
	Kind = "ProviderSpec"
	// Provider is the provider of a MachineClass that this is the providerSpec of. Upper and lower case are the same.
	Provider = "Packet"

	// TagPrefixCluster begins the tag that says which cluster a device belongs to.
	TagPrefixCluster = "kubernetes.io/cluster/"
	// TagPrefixRole begins the tag that says what a device is in its cluster.
	TagPrefixRole = "kubernetes.io/role/"
	// TagPrefixMachine begins the tag that says which Machine a device is for. The driver adds it.
	TagPrefixMachine = "machine.sapcloud.io/name:"
	// TagPrefixVLAN begins the tags that say which virtual networks a device has to be put into. The driver adds them.
	TagPrefixVLAN = "machine.sapcloud.io/vlan:"

	// The keys of the Secret of a MachineClass and of its credentials Secret.
	SecretAPIToken          = "apiToken"
	SecretAlternateAPIToken = "alternateApiToken"
	SecretProjectID         = "projectID"
	SecretAPIURL            = "apiURL"
	SecretUserData          = "userData"
)

// ProviderSpec tells how the driver makes the devices of a MachineClass. The names of its fields are those of the Packet
// driver before this one.
type ProviderSpec struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`

	// apiURL is where the Packet API answers. The credentials Secret may have it in place of this field.
	// +optional
	APIURL string `json:"apiURL,omitempty"`
	// projectID is the project that devices are made in. The credentials Secret may have it in place of this field.
	// +optional
	ProjectID string `json:"projectID,omitempty"`
	// metro is where devices are made, such as ny. Either it or facilities is needed.
	// +optional
	Metro string `json:"metro,omitempty"`
	// facilities are the data centres that devices may be made in, such as ny5, in order of preference. If there is a metro
	// too, they are of that metro.
	// +optional
	Facilities []string `json:"facilities,omitempty"`
	// machineType is the plan of the devices, such as c3.small.x86.
	MachineType string `json:"machineType"`
	// OS is the slug of the operating system, such as ubuntu_24_04. It is not needed with an ipxeScriptUrl.
	// +optional
	OS string `json:"OS,omitempty"`
	// ipxeScriptUrl is the address of the iPXE script that devices boot.
	// +optional
	IPXEScriptURL string `json:"ipxeScriptUrl,omitempty"`
	// billingCycle is hourly, daily, monthly or yearly; hourly if it is left out.
	// +optional
	BillingCycle string `json:"billingCycle,omitempty"`
	// tags are those of the devices. One has to begin with kubernetes.io/cluster/ and one with kubernetes.io/role/: they tell
	// the machines of this cluster from all other devices of the project.
	Tags []string `json:"tags"`
	// sshKeys are the IDs of the project's SSH keys that devices accept. Without any, they accept none.
	// +optional
	SSHKeys []string `json:"sshKeys,omitempty"`
	// reservationIDs are the hardware reservations that devices are made of, in this order; next-available is any.
	// +optional
	ReservationIDs []string `json:"reservationIDs,omitempty"`
	// reservedDevicesOnly means that no device is made on demand when no reservation is left.
	// +optional
	ReservedDevicesOnly bool `json:"reservedDevicesOnly,omitempty"`
	// spotPriceMax has devices rented on the spot market, for at most this many US dollars per hour, such as "0.35".
	// +optional
	SpotPriceMax string `json:"spotPriceMax,omitempty"`
	// vlans are the IDs of the virtual networks that devices are put into.
	// +optional
	VLANs []string `json:"vlans,omitempty"`
	// privateIPReservationIDs are the IDs of the project's private blocks that devices have their private address from. Left
	// out, it is the block that the Packet API gives the project in the metro by itself.
	// +optional
	PrivateIPReservationIDs []string `json:"privateIPReservationIDs,omitempty"`
	// storage tells how drives are partitioned, as the field storage of the Packet API's devices does.
	// +optional
	Storage *apiextensionsv1.JSON `json:"storage,omitempty"`
	// userdata is for who has no Secret with the key userData.
	// +optional
	UserData string `json:"userdata,omitempty"`
}
