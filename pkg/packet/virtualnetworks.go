package packet

import (
	"context"
	"encoding/json"
	"net/http"
)

// VirtualNetwork is a VLAN of a project in a metro (getVirtualNetwork).
type VirtualNetwork struct {
	ID   string `json:"id,omitempty"`
	Href string `json:"href,omitempty"`
	// VXLAN is the VLAN's number, from 2 to 3999.
	VXLAN       int    `json:"vxlan,omitempty"`
	Description string `json:"description,omitempty"`
	Metro       *Metro `json:"metro,omitempty"`
	MetroCode   string `json:"metro_code,omitempty"`
	// Facility and FacilityCode are set on a network that was asked for in a
	// facility.
	Facility     *VirtualNetworkFacility `json:"facility,omitempty"`
	FacilityCode string                  `json:"facility_code,omitempty"`
	// AssignedTo is the project.
	AssignedTo               *Project           `json:"assigned_to,omitempty"`
	AssignedToVirtualCircuit bool               `json:"assigned_to_virtual_circuit"`
	Instances                []Href             `json:"instances"`
	MetalGateways            []MetalGatewayLite `json:"metal_gateways"`
	Tags                     []string           `json:"tags"`
	CreatedAt                *Timestamp         `json:"created_at,omitempty"`
}

// MarshalJSON writes a network that is known by its Href alone as the
// reference it is.
func (v VirtualNetwork) MarshalJSON() ([]byte, error) {
	if v.ID == "" && v.Href != "" {
		return json.Marshal(Href{Href: v.Href})
	}
	type plain VirtualNetwork
	return json.Marshal(plain(v))
}

// VirtualNetworkFacility is a facility with the key that Terraform's provider
// reads its code from.
type VirtualNetworkFacility struct {
	Facility
	FacilityCode string `json:"facility_code,omitempty"`
}

// VirtualNetworkList is the answer to listing a project's virtual networks,
// which has no pages.
type VirtualNetworkList struct {
	VirtualNetworks []VirtualNetwork `json:"virtual_networks"`
}

// VirtualNetworkCreate asks for a virtual network. One of Metro and Facility
// is required; without VXLAN it gets the lowest free number from 1000 on.
type VirtualNetworkCreate struct {
	Metro       string   `json:"metro,omitempty"`
	Facility    string   `json:"facility,omitempty"`
	VXLAN       *int     `json:"vxlan,omitempty"`
	Description string   `json:"description,omitempty"`
	Tags        []string `json:"tags,omitempty"`
}

// VirtualNetworkUpdate changes what is not nil.
type VirtualNetworkUpdate struct {
	Description *string   `json:"description,omitempty"`
	Tags        *[]string `json:"tags,omitempty"`
}

func virtualNetworkID(v *VirtualNetwork) string { return v.ID }

// VirtualNetworks lists a project's virtual networks.
func (c *Client) VirtualNetworks(ctx context.Context, projectID string, options ...QueryOption) ([]VirtualNetwork, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	return listAll(ctx, c, listing[VirtualNetworkList, VirtualNetwork]{
		operation: "findVirtualNetworks",
		path:      "/projects/" + projectID + "/virtual-networks",
		query:     query(options),
		items:     func(l *VirtualNetworkList) ([]VirtualNetwork, *Meta) { return l.VirtualNetworks, nil },
		id:        virtualNetworkID,
	})
}

// VirtualNetwork reads one virtual network.
func (c *Client) VirtualNetwork(ctx context.Context, id string, options ...QueryOption) (*VirtualNetwork, error) {
	if err := checkID("virtual network", id); err != nil {
		return nil, err
	}
	return get(ctx, c, "getVirtualNetwork", "/virtual-networks/"+id, query(options), virtualNetworkID)
}

// CreateVirtualNetwork makes a virtual network.
func (c *Client) CreateVirtualNetwork(ctx context.Context, projectID string, create VirtualNetworkCreate) (*VirtualNetwork, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	return send(ctx, c, request{
		operation: "createVirtualNetwork", method: http.MethodPost, path: "/projects/" + projectID + "/virtual-networks", body: create,
	}, virtualNetworkID)
}

// DeleteVirtualNetwork removes a virtual network that no port and no gateway
// uses.
func (c *Client) DeleteVirtualNetwork(ctx context.Context, id string) error {
	if err := checkID("virtual network", id); err != nil {
		return err
	}
	return c.do(ctx, request{operation: "deleteVirtualNetwork", method: http.MethodDelete, path: "/virtual-networks/" + id})
}
