package packet

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// The values of IPReservation.Type.
const (
	IPTypePublicIPv4  = "public_ipv4"
	IPTypePrivateIPv4 = "private_ipv4"
	IPTypeGlobalIPv4  = "global_ipv4"
	IPTypePublicIPv6  = "public_ipv6"
	// IPTypeVRF marks a reservation inside a VRF. It is of another shape, of
	// which this client reads what the two have in common.
	IPTypeVRF = "vrf"
)

// IPTypeAssignment is the value of IPAssignment.Type, by which GET /ips/{id}
// tells an assignment from a reservation.
const IPTypeAssignment = "IPAssignment"

// IPAssignmentActive is the value of IPAssignment.State.
const IPAssignmentActive = "active"

// The values of IPReservation.State.
const (
	IPStatePending = "pending"
	IPStateCreated = "created"
	IPStateDenied  = "denied"
)

// IPReservation is a block of addresses that a project holds.
//
// It has no keys but those of the API's schema, which is closed: the
// published SDK refuses a whole list for one key too many in one element.
// There is no parent_block here, whatever include asks for.
type IPReservation struct {
	ID   string `json:"id"`
	Href string `json:"href"`
	// Type is required by every client; see the IPType constants.
	Type string `json:"type"`
	// State is one of the IPState constants.
	State string `json:"state,omitempty"`

	// Address is the first usable address, Network the first of the block.
	// They and what follows from them are empty while State is not
	// IPStateCreated: there is no block yet.
	Address string `json:"address,omitempty"`
	Network string `json:"network,omitempty"`
	Netmask string `json:"netmask,omitempty"`
	Gateway string `json:"gateway,omitempty"`
	// CIDR is the block's prefix length.
	CIDR int `json:"cidr,omitempty"`
	// AddressFamily is 4 or 6.
	AddressFamily int  `json:"address_family"`
	Public        bool `json:"public"`
	// Management is true for the blocks that devices get their own addresses
	// from, and false for elastic addresses.
	Management bool `json:"management"`
	Manageable bool `json:"manageable"`
	GlobalIP   bool `json:"global_ip"`
	Enabled    bool `json:"enabled"`
	Addon      bool `json:"addon"`
	Bill       bool `json:"bill"`

	// Available is the href of the list of free subnets.
	Available string `json:"available,omitempty"`
	// Details is a free text. Clients that cannot rely on tags put theirs here.
	Details    *string         `json:"details,omitempty"`
	Tags       []string        `json:"tags"`
	CustomData json.RawMessage `json:"customdata,omitempty"`

	// Assignments hold nothing but Href, unless Include("assignments") asks.
	Assignments  []IPAssignment    `json:"assignments"`
	Facility     *Facility         `json:"facility,omitempty"`
	Metro        *Metro            `json:"metro,omitempty"`
	Project      *Project          `json:"project,omitempty"`
	ProjectLite  *Href             `json:"project_lite,omitempty"`
	RequestedBy  *Href             `json:"requested_by,omitempty"`
	MetalGateway *MetalGatewayLite `json:"metal_gateway,omitempty"`
	CreatedAt    *Timestamp        `json:"created_at,omitempty"`
}

// IPReservationList is the answer to listing a project's addresses.
type IPReservationList struct {
	IPAddresses []IPReservation `json:"ip_addresses"`
	Meta        *Meta           `json:"meta,omitempty"`
}

// IPReservationCreate asks for addresses. Type and Quantity are required, and
// one of Metro and Facility for all types but global_ipv4.
type IPReservationCreate struct {
	Type string `json:"type"`
	// Quantity is a number of addresses, a power of two: 1 gives a /32, or a
	// /128 where Type is public_ipv6. At most 256, of global addresses 4 and of
	// private ones 128.
	Quantity int    `json:"quantity"`
	Metro    string `json:"metro,omitempty"`
	Facility string `json:"facility,omitempty"`
	// Details and Comments are free texts; Comments is for the people who
	// approve a request that is over the project's quota.
	Details    string          `json:"details,omitempty"`
	Comments   string          `json:"comments,omitempty"`
	Tags       []string        `json:"tags,omitempty"`
	CustomData json.RawMessage `json:"customdata,omitempty"`
	// FailOnApprovalRequired turns what would become a pending request into
	// an error. A controller sets it: nobody is there to wait for approval.
	FailOnApprovalRequired bool `json:"fail_on_approval_required,omitempty"`
}

// IPAssignment is an address that a device has.
type IPAssignment struct {
	ID   string `json:"id"`
	Href string `json:"href"`
	// Type is IPTypeAssignment or empty.
	Type string `json:"type,omitempty"`

	// Address is the device's, in no prefix notation: CIDR has the length.
	Address string `json:"address"`
	Network string `json:"network"`
	Netmask string `json:"netmask"`
	Gateway string `json:"gateway"`
	CIDR    int    `json:"cidr"`
	// AddressFamily is 4 or 6.
	AddressFamily int  `json:"address_family"`
	Public        bool `json:"public"`
	// Management is true for the addresses a device was born with, and false
	// for elastic addresses, which can leave it again.
	Management bool `json:"management"`
	Manageable bool `json:"manageable"`
	GlobalIP   bool `json:"global_ip"`
	Enabled    bool `json:"enabled"`

	// State and NextHop are set on elastic addresses of a Metal Gateway only.
	State   string `json:"state,omitempty"`
	NextHop string `json:"next_hop,omitempty"`

	AssignedTo *Href  `json:"assigned_to,omitempty"`
	Metro      *Metro `json:"metro,omitempty"`
	// ParentBlock is the reservation that the address comes from, with its
	// Href alone unless Include("ip_addresses.parent_block") asks for more.
	ParentBlock *ParentBlock `json:"parent_block,omitempty"`
	CreatedAt   *Timestamp   `json:"created_at,omitempty"`
}

// MarshalJSON writes an assignment that is known by its Href alone as the
// reference it is, rather than as an address full of zero values.
func (a IPAssignment) MarshalJSON() ([]byte, error) {
	if a.ID == "" && a.Address == "" && a.Href != "" {
		return json.Marshal(Href{Href: a.Href})
	}
	type plain IPAssignment
	return json.Marshal(plain(a))
}

// IPAssignmentList is the answer to listing a device's addresses.
type IPAssignmentList struct {
	IPAddresses []IPAssignment `json:"ip_addresses"`
	Meta        *Meta          `json:"meta,omitempty"`
}

// ParentBlock is the reservation that an assigned address belongs to.
type ParentBlock struct {
	Href    string `json:"href,omitempty"`
	Network string `json:"network,omitempty"`
	Netmask string `json:"netmask,omitempty"`
	CIDR    int    `json:"cidr,omitempty"`
}

// IPUpdate changes what it names of a reservation, PATCH /ips/{id}. Of an
// assignment CustomData alone can be changed.
type IPUpdate struct {
	Details    *string         `json:"details,omitempty"`
	Tags       *[]string       `json:"tags,omitempty"`
	CustomData json.RawMessage `json:"customdata,omitempty"`
}

// IPAvailability is the answer to GET /ips/{id}/available: free subnets, each
// as a.b.c.d/length.
type IPAvailability struct {
	Available []string `json:"available"`
}

// IPAssignmentCreate gives a device an address: bare, or with /length to
// assign a part of a block.
type IPAssignmentCreate struct {
	Address    string          `json:"address"`
	CustomData json.RawMessage `json:"customdata,omitempty"`
}

// IPAddressCreate asks for an address of a new device.
type IPAddressCreate struct {
	// AddressFamily is 4 or 6.
	AddressFamily int  `json:"address_family"`
	Public        bool `json:"public"`
	// CIDR is 28 to 32 for IPv4 and 124 to 127 for IPv6; 0 leaves it to the API.
	CIDR int `json:"cidr,omitempty"`
	// IPReservations are UUIDs of reservations to take the address from.
	IPReservations []string `json:"ip_reservations,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler. The API's document says that an
// address is public unless told otherwise.
func (c *IPAddressCreate) UnmarshalJSON(data []byte) error {
	type plain IPAddressCreate
	read := plain{Public: true}
	if err := json.Unmarshal(data, &read); err != nil {
		return err
	}
	*c = IPAddressCreate(read)
	return nil
}

// MetalGatewayLite is a Metal Gateway as its reservation mentions it.
type MetalGatewayLite struct {
	ID             string     `json:"id,omitempty"`
	Href           string     `json:"href,omitempty"`
	GatewayAddress string     `json:"gateway_address,omitempty"`
	State          string     `json:"state,omitempty"`
	VLAN           int        `json:"vlan,omitempty"`
	CreatedAt      *Timestamp `json:"created_at,omitempty"`
	UpdatedAt      *Timestamp `json:"updated_at,omitempty"`
}

func reservationID(r *IPReservation) string { return r.ID }
func assignmentID(a *IPAssignment) string   { return a.ID }

// IPReservations lists a project's blocks of addresses, all of them: those of
// its devices (Management), elastic ones, and, with few fields, those of VRFs.
func (c *Client) IPReservations(ctx context.Context, projectID string, options ...QueryOption) ([]IPReservation, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	return listAll(ctx, c, listing[IPReservationList, IPReservation]{
		operation: "findIPReservations",
		path:      "/projects/" + projectID + "/ips",
		query:     query(options),
		paged:     true,
		items:     func(l *IPReservationList) ([]IPReservation, *Meta) { return l.IPAddresses, l.Meta },
		id:        reservationID,
	})
}

// IPReservation reads one reservation.
func (c *Client) IPReservation(ctx context.Context, id string, options ...QueryOption) (*IPReservation, error) {
	if err := checkID("IP reservation", id); err != nil {
		return nil, err
	}
	reservation, err := get(ctx, c, "findIPAddressById", "/ips/"+id, query(options), reservationID)
	if err != nil {
		return nil, err
	}
	if reservation.Type == IPTypeAssignment {
		return nil, fmt.Errorf("IP address %s is an assignment to a device, not a reservation", id)
	}
	return reservation, nil
}

// CreateIPReservation reserves addresses. After an error that IsTransient the
// reservation may exist: look for it by its tags before asking again.
func (c *Client) CreateIPReservation(ctx context.Context, projectID string, create IPReservationCreate, options ...QueryOption) (*IPReservation, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	return send(ctx, c, request{
		operation: "requestIPReservation", method: http.MethodPost, path: "/projects/" + projectID + "/ips", query: query(options), body: create,
	}, reservationID)
}

// UpdateIPReservation changes what update names of a reservation.
func (c *Client) UpdateIPReservation(ctx context.Context, id string, update IPUpdate, options ...QueryOption) (*IPReservation, error) {
	if err := checkID("IP reservation", id); err != nil {
		return nil, err
	}
	return send(ctx, c, request{
		operation: "updateIPAddress", method: http.MethodPatch, path: "/ips/" + id, query: query(options), body: update,
	}, reservationID)
}

// AvailableSubnets lists what is free in a reservation, in subnets of a length
// of cidr bits.
func (c *Client) AvailableSubnets(ctx context.Context, id string, cidr int) ([]string, error) {
	if err := checkID("IP reservation", id); err != nil {
		return nil, err
	}
	var available IPAvailability
	err := c.do(ctx, request{
		operation: "findIPAvailabilities", method: http.MethodGet, path: "/ips/" + id + "/available",
		query: url.Values{"cidr": {strconv.Itoa(cidr)}}, into: &available,
	})
	return available.Available, err
}

// DeleteIP releases a reservation, or takes an assignment from its device,
// according to whose ID it is given.
func (c *Client) DeleteIP(ctx context.Context, id string) error {
	if err := checkID("IP address", id); err != nil {
		return err
	}
	return c.do(ctx, request{operation: "deleteIPAddress", method: http.MethodDelete, path: "/ips/" + id})
}

// AssignIP gives a device a reserved address: bare, or with /length.
func (c *Client) AssignIP(ctx context.Context, deviceID, address string, options ...QueryOption) (*IPAssignment, error) {
	if err := checkID("device", deviceID); err != nil {
		return nil, err
	}
	return send(ctx, c, request{
		operation: "createIPAssignment", method: http.MethodPost, path: "/devices/" + deviceID + "/ips",
		query: query(options), body: IPAssignmentCreate{Address: address},
	}, assignmentID)
}

// DeviceIPs lists the addresses that a device has.
func (c *Client) DeviceIPs(ctx context.Context, deviceID string, options ...QueryOption) ([]IPAssignment, error) {
	if err := checkID("device", deviceID); err != nil {
		return nil, err
	}
	return listAll(ctx, c, listing[IPAssignmentList, IPAssignment]{
		operation: "findIPAssignments",
		path:      "/devices/" + deviceID + "/ips",
		query:     query(options),
		items:     func(l *IPAssignmentList) ([]IPAssignment, *Meta) { return l.IPAddresses, l.Meta },
		id:        assignmentID,
	})
}
