package v1beta2

// NetworkType is how the ports of a device work together.
//
// +kubebuilder:validation:Enum=layer3;hybrid-bonded;hybrid-unbonded;layer2-bonded;layer2-individual
type NetworkType string

const (
	// NetworkTypeLayer3 bonds all ports, with addresses of Packet and no VLANs.
	NetworkTypeLayer3 NetworkType = "layer3"
	// NetworkTypeHybridBonded bonds all ports, with addresses of Packet and VLANs on the bond.
	NetworkTypeHybridBonded NetworkType = "hybrid-bonded"
	// NetworkTypeHybridUnbonded has addresses of Packet on one port and VLANs on the other.
	NetworkTypeHybridUnbonded NetworkType = "hybrid-unbonded"
	// NetworkTypeLayer2Bonded bonds all ports, with VLANs only.
	NetworkTypeLayer2Bonded NetworkType = "layer2-bonded"
	// NetworkTypeLayer2Individual has VLANs only, on each port by itself.
	NetworkTypeLayer2Individual NetworkType = "layer2-individual"
)

// AddressType is a kind of address that a device can be born with.
//
// +kubebuilder:validation:Enum=public_ipv4;private_ipv4;public_ipv6
type AddressType string

const (
	// AddressPublicIPv4 is an IPv4 address that the Internet can reach.
	AddressPublicIPv4 AddressType = "public_ipv4"
	// AddressPrivateIPv4 is an IPv4 address of the project's private network. Every device has one.
	AddressPrivateIPv4 AddressType = "private_ipv4"
	// AddressPublicIPv6 is an IPv6 address that the Internet can reach.
	AddressPublicIPv6 AddressType = "public_ipv6"
)

// PacketMachineNetwork is the network of a device. What its fields have to do with each other is checked by a webhook, which
// can name what is wrong.
//
// +kubebuilder:validation:MinProperties=1
type PacketMachineNetwork struct {
	// type is how the ports of the device work together: layer3, hybrid-bonded, hybrid-unbonded, layer2-bonded or
	// layer2-individual. Left out, it is layer3. A device in layer 2 has no address of Packet: whoever uses it must bring the
	// way by which it reaches the endpoint of its cluster.
	// +optional
	Type NetworkType `json:"type,omitempty"`

	// privateOnly gives the device a private IPv4 address and no public one. Left out, it is false.
	// +optional
	PrivateOnly *bool `json:"privateOnly,omitempty"`

	// addresses are what the device is born with, one of each type at most, private_ipv4 among them. Left out, it is one of
	// each type, or only private_ipv4 if privateOnly is true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	// +kubebuilder:validation:XValidation:rule="self.exists(a, a.type == 'private_ipv4')",message="addresses must have one of type private_ipv4: every device has a private IPv4 address"
	Addresses []PacketMachineAddress `json:"addresses,omitempty"`

	// vlans are the VLANs that ports of the device are put in once it is active. The network type must allow them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	VLANs []PacketMachineVLAN `json:"vlans,omitempty"`
}

// PacketMachineAddress is an address that a device is born with.
type PacketMachineAddress struct {
	// type is public_ipv4, private_ipv4 or public_ipv6.
	// +required
	Type AddressType `json:"type,omitempty"`

	// cidr is the length of the prefix of the device's own network: 28 to 31 for IPv4, 124 to 127 for IPv6. Left out, the
	// Packet API chooses: 31, or 127 for IPv6.
	// +optional
	// +kubebuilder:validation:Minimum=28
	// +kubebuilder:validation:Maximum=127
	CIDR int32 `json:"cidr,omitempty"`

	// reservationIDs are UUIDs of reservations of the project that the address is taken from. Left out, it is a new one.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:Pattern=`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`
	ReservationIDs []string `json:"reservationIDs,omitempty"`
}

// PacketMachineVLAN is a VLAN that a port of a device is put in.
//
// +kubebuilder:validation:MinProperties=1
type PacketMachineVLAN struct {
	// id is the UUID of the VLAN in the Packet API. One of id and vxlan is required.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ID string `json:"id,omitempty"`

	// vxlan is the number of the VLAN, unique in the project and the device's metro.
	// +optional
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=3999
	VXLAN int32 `json:"vxlan,omitempty"`

	// port is the name of the port: bond0, or eth1 where the ports are not bonded. Left out, it is bond0.
	// +optional
	// +kubebuilder:validation:Pattern=`^(bond[01]|eth[0-9])$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	Port string `json:"port,omitempty"`

	// native makes this the VLAN of the frames without tag. At most one VLAN of a port is, and not the only one. Left out,
	// it is false.
	// +optional
	Native *bool `json:"native,omitempty"`
}
