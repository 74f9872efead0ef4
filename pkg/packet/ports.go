package packet

// The values of Port.Type.
const (
	PortTypeNetwork = "NetworkPort"
	PortTypeBond    = "NetworkBondPort"
)

// The values of Port.NetworkType.
const (
	NetworkTypeLayer2Bonded     = "layer2-bonded"
	NetworkTypeLayer2Individual = "layer2-individual"
	NetworkTypeLayer3           = "layer3"
	NetworkTypeHybrid           = "hybrid"
	NetworkTypeHybridBonded     = "hybrid-bonded"
)

// Port is a network port of a device: bond0, eth0, eth1.
type Port struct {
	ID   string `json:"id,omitempty"`
	Href string `json:"href,omitempty"`
	Name string `json:"name,omitempty"`
	// Type is one of the PortType constants.
	Type string `json:"type,omitempty"`
	// NetworkType is one of the NetworkType constants, on bonds only.
	NetworkType               string    `json:"network_type,omitempty"`
	Bond                      *PortBond `json:"bond,omitempty"`
	Data                      *PortData `json:"data,omitempty"`
	DisbondOperationSupported bool      `json:"disbond_operation_supported"`

	NativeVirtualNetwork *VirtualNetwork  `json:"native_virtual_network,omitempty"`
	VirtualNetworks      []VirtualNetwork `json:"virtual_networks"`
}

// PortBond names the bond that a port is part of.
type PortBond struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// PortData is what is known of a port's hardware.
type PortData struct {
	MAC    string `json:"mac,omitempty"`
	Bonded bool   `json:"bonded"`
}

// VirtualNetwork is a VLAN of a project.
type VirtualNetwork struct {
	ID          string     `json:"id,omitempty"`
	Href        string     `json:"href,omitempty"`
	VXLAN       int        `json:"vxlan,omitempty"`
	Description string     `json:"description,omitempty"`
	Metro       *Metro     `json:"metro,omitempty"`
	MetroCode   string     `json:"metro_code,omitempty"`
	Facility    *Href      `json:"facility,omitempty"`
	AssignedTo  *Project   `json:"assigned_to,omitempty"`
	Tags        []string   `json:"tags,omitempty"`
	CreatedAt   *Timestamp `json:"created_at,omitempty"`
}
