package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +kubebuilder:object:root=true

// InfrastructureConfig is the infrastructureConfig of a Shoot. All of it can be left out.
type InfrastructureConfig struct {
	metav1.TypeMeta `json:",inline"`

	// networks tells which private addresses the machines have, and whether they share a VLAN.
	// +optional
	Networks *Networks `json:"networks,omitempty"`
}

// Networks are those of a Shoot's machines.
type Networks struct {
	// nodes is the private block that the machines get their addresses from, such as 10.64.12.0/25. It has to be one that the
	// project has in the metro. Left out, it is the reservation below, or the block that the Packet API gives the project in
	// the metro by itself.
	// +optional
	Nodes *string `json:"nodes,omitempty"`
	// privateReservation has the extension reserve a private block for this Shoot alone, which is given back with it.
	// +optional
	PrivateReservation *PrivateReservation `json:"privateReservation,omitempty"`
	// vlan has the extension make a VLAN for this Shoot, which is deleted with it. Every machine is put into it.
	// +optional
	VLAN *VLAN `json:"vlan,omitempty"`
}

// PrivateReservation is a private block of IPv4 addresses.
type PrivateReservation struct {
	// prefixLength is how large the block is: 25 (128 addresses) to 28 (16 addresses).
	PrefixLength int32 `json:"prefixLength"`
}

// VLAN is a virtual network of the metro.
type VLAN struct {
	// vxlan is the number of the VLAN, from 2 to 3999. Left out, the Packet API chooses one.
	// +optional
	VXLAN *int32 `json:"vxlan,omitempty"`
}

// +kubebuilder:object:root=true

// InfrastructureStatus is the providerStatus of an Infrastructure: what the extension made or found for the Shoot.
type InfrastructureStatus struct {
	metav1.TypeMeta `json:",inline"`

	// sshKeyID is the ID of the SSH key that the machines accept, and empty where the Shoot has none.
	SSHKeyID string `json:"sshKeyID"`
	// metro is the code of the metro that the Infrastructure's region is or, where that is a facility, is in.
	// +optional
	Metro string `json:"metro,omitempty"`
	// networks are those of the machines.
	// +optional
	Networks *NetworksStatus `json:"networks,omitempty"`
}

// NetworksStatus is what the networks of a Shoot's machines are in the Packet API.
type NetworksStatus struct {
	// nodes are the private blocks that machines have addresses from.
	// +optional
	Nodes []string `json:"nodes,omitempty"`
	// privateReservationID is the ID of the block that was reserved for this Shoot.
	// +optional
	PrivateReservationID string `json:"privateReservationID,omitempty"`
	// vlan is the VLAN that was made for this Shoot.
	// +optional
	VLAN *VLANStatus `json:"vlan,omitempty"`
}

// VLANStatus is a VLAN in the Packet API.
type VLANStatus struct {
	// id is the ID of the virtual network.
	ID string `json:"id"`
	// vxlan is its number.
	VXLAN int32 `json:"vxlan"`
}

// +kubebuilder:object:root=true

// InfrastructureState is the state of an Infrastructure: what the extension has to know, on any seed, of what it made. It is
// written after each step, so that a step that is repeated finds what the one before it made.
type InfrastructureState struct {
	metav1.TypeMeta `json:",inline"`

	// metro is the code of the metro that everything is made in. It is written before anything is made: without it there is
	// nothing to delete.
	// +optional
	Metro string `json:"metro,omitempty"`
	// sshKeyID is the ID of the SSH key that the extension made.
	// +optional
	SSHKeyID string `json:"sshKeyID,omitempty"`
	// privateReservationID is the ID of the private block that the extension reserved.
	// +optional
	PrivateReservationID string `json:"privateReservationID,omitempty"`
	// holdsBlock says that nobody asked for the reservation: it was made because the Packet API gives a project its private
	// block in a metro only with the first thing that needs it, and Gardener has to know the block before there are machines.
	// +optional
	HoldsBlock bool `json:"holdsBlock,omitempty"`
	// vlanID is the ID of the VLAN that the extension made.
	// +optional
	VLANID string `json:"vlanID,omitempty"`
}
