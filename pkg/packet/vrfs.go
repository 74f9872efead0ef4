package packet

import "encoding/json"

// VRF is a virtual router of a project in a metro (findVrfById).
type VRF struct {
	ID          string `json:"id"`
	Href        string `json:"href"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Bill        bool   `json:"bill"`
	LocalASN    int64  `json:"local_asn"`
	// IPRanges are blocks in CIDR notation, out of which reservations of type
	// vrf are made.
	IPRanges                          []string          `json:"ip_ranges"`
	BGPDynamicNeighborsEnabled        bool              `json:"bgp_dynamic_neighbors_enabled"`
	BGPDynamicNeighborsExportRouteMap bool              `json:"bgp_dynamic_neighbors_export_route_map"`
	BGPDynamicNeighborsBFDEnabled     bool              `json:"bgp_dynamic_neighbors_bfd_enabled"`
	VirtualCircuits                   []json.RawMessage `json:"virtual_circuits"`
	Project                           *Project          `json:"project,omitempty"`
	Metro                             *Metro            `json:"metro,omitempty"`
	CreatedBy                         *Href             `json:"created_by,omitempty"`
	Tags                              []string          `json:"tags"`
	CreatedAt                         *Timestamp        `json:"created_at,omitempty"`
	UpdatedAt                         *Timestamp        `json:"updated_at,omitempty"`
}

// VRFCreate asks for a VRF. Name and Metro are required.
type VRFCreate struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Metro       string   `json:"metro"`
	LocalASN    *int64   `json:"local_asn,omitempty"`
	IPRanges    []string `json:"ip_ranges,omitempty"`
	Tags        []string `json:"tags,omitempty"`

	BGPDynamicNeighborsEnabled        bool `json:"bgp_dynamic_neighbors_enabled,omitempty"`
	BGPDynamicNeighborsExportRouteMap bool `json:"bgp_dynamic_neighbors_export_route_map,omitempty"`
	BGPDynamicNeighborsBFDEnabled     bool `json:"bgp_dynamic_neighbors_bfd_enabled,omitempty"`
}

// VRFUpdate changes what is not nil. Reservations in a range that is no more
// among IPRanges go with it, and their gateways too.
type VRFUpdate struct {
	Name        *string   `json:"name,omitempty"`
	Description *string   `json:"description,omitempty"`
	LocalASN    *int64    `json:"local_asn,omitempty"`
	IPRanges    *[]string `json:"ip_ranges,omitempty"`
	Tags        *[]string `json:"tags,omitempty"`

	BGPDynamicNeighborsEnabled        *bool `json:"bgp_dynamic_neighbors_enabled,omitempty"`
	BGPDynamicNeighborsExportRouteMap *bool `json:"bgp_dynamic_neighbors_export_route_map,omitempty"`
	BGPDynamicNeighborsBFDEnabled     *bool `json:"bgp_dynamic_neighbors_bfd_enabled,omitempty"`
}

// VRFIPReservation is a block of addresses inside a VRF
// (findVrfIpReservation). Type is IPTypeVRF.
type VRFIPReservation struct {
	ID            string            `json:"id"`
	Href          string            `json:"href"`
	Type          string            `json:"type"`
	State         string            `json:"state"`
	Address       string            `json:"address"`
	Network       string            `json:"network"`
	Netmask       string            `json:"netmask"`
	Gateway       string            `json:"gateway"`
	CIDR          int               `json:"cidr"`
	AddressFamily int               `json:"address_family"`
	Public        bool              `json:"public"`
	Management    bool              `json:"management"`
	Manageable    bool              `json:"manageable"`
	Bill          bool              `json:"bill"`
	Details       *string           `json:"details,omitempty"`
	Tags          []string          `json:"tags"`
	CustomData    json.RawMessage   `json:"customdata,omitempty"`
	VRF           *Href             `json:"vrf"`
	MetalGateway  *MetalGatewayLite `json:"metal_gateway,omitempty"`
	Metro         *Metro            `json:"metro,omitempty"`
	Project       *Project          `json:"project,omitempty"`
	ProjectLite   *Href             `json:"project_lite,omitempty"`
	CreatedBy     *Href             `json:"created_by,omitempty"`
	CreatedAt     *Timestamp        `json:"created_at,omitempty"`
}

// VRFIPReservationCreate asks for a block inside a VRF. Network, CIDR and VRF
// are required.
type VRFIPReservationCreate struct {
	Type       string          `json:"type"`
	VRFID      string          `json:"vrf_id"`
	Network    string          `json:"network"`
	CIDR       int             `json:"cidr"`
	Details    string          `json:"details,omitempty"`
	Tags       []string        `json:"tags,omitempty"`
	CustomData json.RawMessage `json:"customdata,omitempty"`
}

// The values of VRFRoute.Status.
const (
	VRFRoutePending  = "pending"
	VRFRouteActive   = "active"
	VRFRouteDeleting = "deleting"
	VRFRouteError    = "error"
)

// The types of the events of a VRFRoute.
const (
	EventRouteCreated    = "vrf_route.created"
	EventRouteRedeployed = "vrf_route.redeployed"
)

// VRFRoute is a static route in a VRF (findVrfRouteById).
type VRFRoute struct {
	ID             string     `json:"id"`
	Href           string     `json:"href"`
	Type           string     `json:"type"`
	Status         string     `json:"status"`
	Prefix         string     `json:"prefix"`
	NextHop        string     `json:"next_hop"`
	MetalGateway   *Href      `json:"metal_gateway,omitempty"`
	VirtualNetwork *Href      `json:"virtual_network,omitempty"`
	VRF            *Href      `json:"vrf,omitempty"`
	Tags           []string   `json:"tags"`
	CreatedAt      *Timestamp `json:"created_at,omitempty"`
	UpdatedAt      *Timestamp `json:"updated_at,omitempty"`
}

// VRFRouteCreate asks for a route. Prefix and NextHop are required.
type VRFRouteCreate struct {
	Prefix  string   `json:"prefix"`
	NextHop string   `json:"next_hop"`
	Tags    []string `json:"tags,omitempty"`
}

// VRFRouteUpdate has a route set up anew. Prefix and NextHop cannot change.
type VRFRouteUpdate struct {
	Prefix  *string   `json:"prefix,omitempty"`
	NextHop *string   `json:"next_hop,omitempty"`
	Tags    *[]string `json:"tags,omitempty"`
}
