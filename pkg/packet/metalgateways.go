package packet

import (
	"context"
	"encoding/json"
	"net/http"
)

// The values of MetalGateway.State. A gateway is ready until a port is on its
// virtual network, and active from then on.
const (
	MetalGatewayReady    = "ready"
	MetalGatewayActive   = "active"
	MetalGatewayDeleting = "deleting"
)

// MetalGateway routes between a virtual network and the rest of the world
// (findMetalGatewayById).
type MetalGateway struct {
	ID   string `json:"id"`
	Href string `json:"href"`
	// State is one of the MetalGateway constants.
	State          string          `json:"state"`
	Project        *Project        `json:"project,omitempty"`
	VirtualNetwork *VirtualNetwork `json:"virtual_network,omitempty"`
	// IPReservation is the block of the gateway's subnet, of which the gateway
	// has the first usable address. It is complete without being included:
	// generated clients tell the two kinds of gateways by it.
	IPReservation *IPReservation `json:"ip_reservation,omitempty"`
	// VRF is set on gateways of a VRF.
	VRF       *Href      `json:"vrf,omitempty"`
	CreatedBy *Href      `json:"created_by,omitempty"`
	CreatedAt *Timestamp `json:"created_at,omitempty"`
	UpdatedAt *Timestamp `json:"updated_at,omitempty"`
}

// MetalGatewayList is the answer to listing a project's gateways.
type MetalGatewayList struct {
	MetalGateways []MetalGateway `json:"metal_gateways"`
	Meta          *Meta          `json:"meta,omitempty"`
}

// MetalGatewayCreate asks for a gateway. One of IPReservationID and
// PrivateIPv4SubnetSize is required; the latter is a number of addresses: 8,
// 16, 32, 64 or 128.
type MetalGatewayCreate struct {
	VirtualNetworkID      string `json:"virtual_network_id"`
	IPReservationID       string `json:"ip_reservation_id,omitempty"`
	PrivateIPv4SubnetSize int    `json:"private_ipv4_subnet_size,omitempty"`
}

// MetalGatewayElasticIPCreate routes an address, or a block a.b.c.d/length, of
// one of the project's reservations to an address behind a gateway
// (createMetalGatewayElasticIp).
type MetalGatewayElasticIPCreate struct {
	Address    string          `json:"address"`
	NextHop    string          `json:"next_hop"`
	CustomData json.RawMessage `json:"customdata,omitempty"`
	Tags       []string        `json:"tags,omitempty"`
}

// BGPDynamicNeighbor is a range of addresses behind a gateway of a VRF from
// which the VRF takes BGP peers (getBgpDynamicNeighbors).
type BGPDynamicNeighbor struct {
	ID           string     `json:"id"`
	Href         string     `json:"href"`
	Range        string     `json:"bgp_neighbor_range"`
	ASN          int64      `json:"bgp_neighbor_asn"`
	State        string     `json:"state"`
	MetalGateway *Href      `json:"metal_gateway,omitempty"`
	Tags         []string   `json:"tags"`
	CreatedBy    *UserLite  `json:"created_by,omitempty"`
	CreatedAt    *Timestamp `json:"created_at,omitempty"`
	UpdatedAt    *Timestamp `json:"updated_at,omitempty"`
}

// BGPDynamicNeighborCreate asks for a BGPDynamicNeighbor. Range and ASN are
// required.
type BGPDynamicNeighborCreate struct {
	Range string   `json:"bgp_neighbor_range"`
	ASN   *int64   `json:"bgp_neighbor_asn"`
	Tags  []string `json:"tags,omitempty"`
}

func metalGatewayID(g *MetalGateway) string { return g.ID }

// MetalGateways lists a project's gateways.
func (c *Client) MetalGateways(ctx context.Context, projectID string, options ...QueryOption) ([]MetalGateway, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	return listAll(ctx, c, listing[MetalGatewayList, MetalGateway]{
		operation: "findMetalGatewaysByProject",
		path:      "/projects/" + projectID + "/metal-gateways",
		query:     query(options),
		paged:     true,
		items:     func(l *MetalGatewayList) ([]MetalGateway, *Meta) { return l.MetalGateways, l.Meta },
		id:        metalGatewayID,
	})
}

// MetalGateway reads one gateway.
func (c *Client) MetalGateway(ctx context.Context, id string, options ...QueryOption) (*MetalGateway, error) {
	if err := checkID("metal gateway", id); err != nil {
		return nil, err
	}
	return get(ctx, c, "findMetalGatewayById", "/metal-gateways/"+id, query(options), metalGatewayID)
}

// CreateMetalGateway makes a gateway.
func (c *Client) CreateMetalGateway(ctx context.Context, projectID string, create MetalGatewayCreate) (*MetalGateway, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	return send(ctx, c, request{
		operation: "createMetalGateway", method: http.MethodPost, path: "/projects/" + projectID + "/metal-gateways", body: create,
	}, metalGatewayID)
}

// DeleteMetalGateway removes a gateway, with its elastic addresses, and with
// its reservation where that was made for it.
func (c *Client) DeleteMetalGateway(ctx context.Context, id string) error {
	if err := checkID("metal gateway", id); err != nil {
		return err
	}
	return c.do(ctx, request{operation: "deleteMetalGateway", method: http.MethodDelete, path: "/metal-gateways/" + id})
}
