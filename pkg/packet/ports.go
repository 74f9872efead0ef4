package packet

import (
	"context"
	"net/http"
)

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

// The types of the events of a device's ports.
const (
	EventPortBonded            = "port.bonded"
	EventPortDisbonded         = "port.disbonded"
	EventPortConverted         = "port.converted"
	EventPortVLANAssigned      = "port.vlan_assigned"
	EventPortVLANUnassigned    = "port.vlan_unassigned"
	EventPortNativeVLANSet     = "port.native_vlan_assigned"
	EventPortNativeVLANRemoved = "port.native_vlan_removed"
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

// VLANAssignment is a virtual network on a port (findPortVlanAssignments).
type VLANAssignment struct {
	ID   string `json:"id"`
	VLAN int    `json:"vlan"`
	// Native is true where packets of the network have no tag on this port.
	Native bool `json:"native"`
	// State is one of the VLANAssignment constants.
	State          string     `json:"state"`
	Port           *Href      `json:"port,omitempty"`
	VirtualNetwork *Href      `json:"virtual_network,omitempty"`
	CreatedAt      *Timestamp `json:"created_at,omitempty"`
	UpdatedAt      *Timestamp `json:"updated_at,omitempty"`
}

// The values of VLANAssignment.State and VLANBatchEntry.State.
const (
	VLANAssigned   = "assigned"
	VLANUnassigned = "unassigned"
)

// The values of VLANBatch.State.
const (
	VLANBatchQueued     = "queued"
	VLANBatchInProgress = "in_progress"
	VLANBatchCompleted  = "completed"
	VLANBatchFailed     = "failed"
)

// VLANBatch is a number of changes of a port's virtual networks
// (createPortVlanAssignmentBatch).
type VLANBatch struct {
	ID string `json:"id"`
	// State is one of the VLANBatch constants.
	State           string           `json:"state"`
	ErrorMessages   []string         `json:"error_messages"`
	Quantity        int              `json:"quantity"`
	VLANAssignments []VLANBatchEntry `json:"vlan_assignments"`
	Port            *Href            `json:"port,omitempty"`
	Project         *Href            `json:"project,omitempty"`
	CreatedAt       *Timestamp       `json:"created_at,omitempty"`
	UpdatedAt       *Timestamp       `json:"updated_at,omitempty"`
}

// VLANBatchEntry is one change in a VLANBatch. ID is the virtual network's.
type VLANBatchEntry struct {
	ID     string `json:"id"`
	VLAN   int    `json:"vlan"`
	State  string `json:"state"`
	Native bool   `json:"native"`
}

// VLANBatchCreate asks for a VLANBatch.
type VLANBatchCreate struct {
	VLANAssignments []VLANBatchEntryCreate `json:"vlan_assignments"`
}

// VLANBatchEntryCreate asks for one change. VLAN is a virtual network's UUID
// or number, State one of the VLANAssignment constants, assigned by default.
type VLANBatchEntryCreate struct {
	VLAN   string `json:"vlan"`
	State  string `json:"state,omitempty"`
	Native *bool  `json:"native,omitempty"`
}

// PortAssign names a virtual network by its UUID or its number.
type PortAssign struct {
	VirtualNetwork string `json:"vnid,omitempty"`
}

// PortConvertLayer3 says which addresses a device gets with layer 3
// (convertLayer3).
type PortConvertLayer3 struct {
	RequestIPs []IPRequest `json:"request_ips"`
}

// IPRequest is one address of PortConvertLayer3. AddressFamily is 4 or 6.
type IPRequest struct {
	AddressFamily int  `json:"address_family"`
	Public        bool `json:"public"`
}

func portID(p *Port) string { return p.ID }

// Port reads a port.
func (c *Client) Port(ctx context.Context, id string, options ...QueryOption) (*Port, error) {
	if err := checkID("port", id); err != nil {
		return nil, err
	}
	return get(ctx, c, "findPortById", "/ports/"+id, query(options), portID)
}

// AssignPort puts a virtual network, given by UUID or number, on a port.
func (c *Client) AssignPort(ctx context.Context, id, virtualNetwork string) (*Port, error) {
	return c.changePort(ctx, "assignPort", id, "assign", PortAssign{VirtualNetwork: virtualNetwork})
}

// UnassignPort takes a virtual network, given by UUID or number, off a port.
func (c *Client) UnassignPort(ctx context.Context, id, virtualNetwork string) (*Port, error) {
	return c.changePort(ctx, "unassignPort", id, "unassign", PortAssign{VirtualNetwork: virtualNetwork})
}

// BondPort puts an interface back into its bond, or all of them where the
// port is the bond.
func (c *Client) BondPort(ctx context.Context, id string) (*Port, error) {
	return c.changePort(ctx, "bondPort", id, "bond", struct{}{})
}

// DisbondPort takes an interface out of its bond, or all of them where the
// port is the bond.
func (c *Client) DisbondPort(ctx context.Context, id string) (*Port, error) {
	return c.changePort(ctx, "disbondPort", id, "disbond", struct{}{})
}

// ConvertLayer2 makes a bond a layer 2 one: its device loses all addresses.
func (c *Client) ConvertLayer2(ctx context.Context, id string) (*Port, error) {
	return c.changePort(ctx, "convertLayer2", id, "convert/layer-2", PortAssign{})
}

// ConvertLayer3 makes a bond a layer 3 one: its device gets new addresses, all
// three that a new device has where none are named.
func (c *Client) ConvertLayer3(ctx context.Context, id string, convert PortConvertLayer3) (*Port, error) {
	return c.changePort(ctx, "convertLayer3", id, "convert/layer-3", convert)
}

func (c *Client) changePort(ctx context.Context, operation, id, change string, body any) (*Port, error) {
	if err := checkID("port", id); err != nil {
		return nil, err
	}
	return send(ctx, c, request{operation: operation, method: http.MethodPost, path: "/ports/" + id + "/" + change, body: body}, portID)
}
