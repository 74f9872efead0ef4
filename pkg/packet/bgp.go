package packet

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// The values of BGPConfig.DeploymentType.
const (
	BGPLocal  = "local"
	BGPGlobal = "global"
)

// The values of BGPConfig.Status.
const (
	BGPRequested = "requested"
	BGPEnabled   = "enabled"
	BGPDisabled  = "disabled"
)

// The values of BGPSession.AddressFamily.
const (
	BGPIPv4 = "ipv4"
	BGPIPv6 = "ipv6"
)

// BGPConfig says whether and how a project speaks BGP. A project that never
// asked for it has one too, with an empty ID.
type BGPConfig struct {
	ID             string `json:"id,omitempty"`
	Href           string `json:"href,omitempty"`
	Status         string `json:"status,omitempty"`
	DeploymentType string `json:"deployment_type,omitempty"`
	ASN            int64  `json:"asn,omitempty"`
	// MD5 is the session password in clear text, nil where there is none. It
	// is a secret.
	MD5         *string      `json:"md5"`
	MaxPrefix   int          `json:"max_prefix,omitempty"`
	RouteObject string       `json:"route_object,omitempty"`
	Project     *Href        `json:"project,omitempty"`
	Ranges      []BGPRange   `json:"ranges,omitempty"`
	Sessions    []BGPSession `json:"sessions,omitempty"`
	RequestedAt *Timestamp   `json:"requested_at,omitempty"`
	CreatedAt   *Timestamp   `json:"created_at,omitempty"`
}

// Enabled tells whether sessions can be made.
func (c *BGPConfig) Enabled() bool {
	return c != nil && c.ID != "" && c.Status == BGPEnabled
}

// BGPRange is a block that a project with global BGP may announce.
type BGPRange struct {
	ID            string `json:"id,omitempty"`
	Href          string `json:"href,omitempty"`
	AddressFamily int    `json:"address_family,omitempty"`
	Range         string `json:"range,omitempty"`
	Project       *Href  `json:"project,omitempty"`
}

// BGPRangeList is the answer to GET /projects/{id}/global-bgp-ranges.
type BGPRangeList struct {
	GlobalBGPRanges []BGPRange `json:"global_bgp_ranges"`
}

// BGPConfigRequest asks for BGP on a project.
type BGPConfigRequest struct {
	// DeploymentType is BGPLocal or BGPGlobal.
	DeploymentType string `json:"deployment_type"`
	// ASN is 65000 for local deployments.
	ASN int64 `json:"asn"`
	// MD5 is 10 to 20 letters and digits. Some clients send it empty for none.
	MD5     string `json:"md5,omitempty"`
	UseCase string `json:"use_case,omitempty"`
}

// BGPSession is a device's peering with its switches.
type BGPSession struct {
	ID   string `json:"id,omitempty"`
	Href string `json:"href,omitempty"`
	// AddressFamily is BGPIPv4 or BGPIPv6.
	AddressFamily string `json:"address_family,omitempty"`
	// Status is unknown, up or down, once per switch: "up,down".
	Status        string     `json:"status,omitempty"`
	DefaultRoute  bool       `json:"default_route"`
	LearnedRoutes []string   `json:"learned_routes"`
	Device        *Href      `json:"device,omitempty"`
	CreatedAt     *Timestamp `json:"created_at,omitempty"`
	UpdatedAt     *Timestamp `json:"updated_at,omitempty"`
}

// BGPSessionList is the answer to listing sessions.
type BGPSessionList struct {
	BGPSessions []BGPSession `json:"bgp_sessions"`
	Meta        *Meta        `json:"meta,omitempty"`
}

// BGPSessionCreate asks for a session of a device.
type BGPSessionCreate struct {
	// AddressFamily is BGPIPv4 or BGPIPv6.
	AddressFamily string `json:"address_family"`
	DefaultRoute  bool   `json:"default_route,omitempty"`
}

// BGPNeighbor is what a device needs to configure its BGP speaker.
type BGPNeighbor struct {
	// AddressFamily is 4 or 6.
	AddressFamily int    `json:"address_family"`
	CustomerAS    int64  `json:"customer_as"`
	CustomerIP    string `json:"customer_ip"`
	MD5Enabled    bool   `json:"md5_enabled"`
	// MD5Password is a secret.
	MD5Password string     `json:"md5_password,omitempty"`
	Multihop    bool       `json:"multihop"`
	PeerAS      int64      `json:"peer_as"`
	PeerIPs     []string   `json:"peer_ips"`
	RoutesIn    []BGPRoute `json:"routes_in"`
	RoutesOut   []BGPRoute `json:"routes_out"`
}

// BGPNeighborList is the answer to listing a device's neighbours.
type BGPNeighborList struct {
	BGPNeighbors []BGPNeighbor `json:"bgp_neighbors"`
}

// BGPRoute is a block that a session may announce or learn.
type BGPRoute struct {
	Route string `json:"route"`
	Exact bool   `json:"exact"`
}

// BGPConfig reads a project's BGP configuration, which is there also if BGP
// was never asked for: see BGPConfig.Enabled.
func (c *Client) BGPConfig(ctx context.Context, projectID string, options ...QueryOption) (*BGPConfig, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	config := new(BGPConfig)
	if err := c.do(ctx, request{
		operation: "findBgpConfigByProject", method: http.MethodGet, path: "/projects/" + projectID + "/bgp-config", query: query(options), into: config,
	}); err != nil {
		return nil, err
	}
	return config, nil
}

// RequestBGPConfig asks for BGP on a project.
func (c *Client) RequestBGPConfig(ctx context.Context, projectID string, config BGPConfigRequest) error {
	if err := checkID("project", projectID); err != nil {
		return err
	}
	return c.do(ctx, request{operation: "requestBgpConfig", method: http.MethodPost, path: "/projects/" + projectID + "/bgp-configs", body: config})
}

// BGPSessions lists a device's sessions.
func (c *Client) BGPSessions(ctx context.Context, deviceID string, options ...QueryOption) ([]BGPSession, error) {
	if err := checkID("device", deviceID); err != nil {
		return nil, err
	}
	return listAll(ctx, c, bgpSessions("findBgpSessions", "/devices/"+deviceID+"/bgp/sessions", options))
}

// ProjectBGPSessions lists the sessions of all devices of a project, which is
// one request where BGPSessions is one for each device.
func (c *Client) ProjectBGPSessions(ctx context.Context, projectID string, options ...QueryOption) ([]BGPSession, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	return listAll(ctx, c, bgpSessions("findProjectBgpSessions", "/projects/"+projectID+"/bgp/sessions", options))
}

func bgpSessions(operation, path string, options []QueryOption) listing[BGPSessionList, BGPSession] {
	return listing[BGPSessionList, BGPSession]{
		operation: operation,
		path:      path,
		query:     query(options),
		items:     func(l *BGPSessionList) ([]BGPSession, *Meta) { return l.BGPSessions, l.Meta },
		id:        func(s *BGPSession) string { return s.ID },
	}
}

// CreateBGPSession makes a session. A second one of the same address family
// is refused: see IsSessionExists.
func (c *Client) CreateBGPSession(ctx context.Context, deviceID string, create BGPSessionCreate) (*BGPSession, error) {
	if err := checkID("device", deviceID); err != nil {
		return nil, err
	}
	return send(ctx, c, request{
		operation: "createBgpSession", method: http.MethodPost, path: "/devices/" + deviceID + "/bgp/sessions", body: create,
	}, func(s *BGPSession) string { return s.ID })
}

// UpdateBGPSession says whether the switches announce the default route to the
// device of a session.
func (c *Client) UpdateBGPSession(ctx context.Context, id string, defaultRoute bool) error {
	if err := checkID("BGP session", id); err != nil {
		return err
	}
	return c.do(ctx, request{operation: "updateBgpSession", method: http.MethodPut, path: "/bgp/sessions/" + id, body: defaultRoute})
}

// DeleteBGPSession ends a session.
func (c *Client) DeleteBGPSession(ctx context.Context, id string) error {
	if err := checkID("BGP session", id); err != nil {
		return err
	}
	return c.do(ctx, request{operation: "deleteBgpSession", method: http.MethodDelete, path: "/bgp/sessions/" + id})
}

// IsSessionExists tells that a device has a session of the address family
// already. The API says so by its text alone.
func IsSessionExists(err error) bool {
	var e *Error
	return errors.As(err, &e) && IsUnprocessable(err) && strings.Contains(e.Error(), "already has session")
}

// BGPNeighbors lists what a device needs to know of its switches.
func (c *Client) BGPNeighbors(ctx context.Context, deviceID string) ([]BGPNeighbor, error) {
	if err := checkID("device", deviceID); err != nil {
		return nil, err
	}
	return listAll(ctx, c, listing[BGPNeighborList, BGPNeighbor]{
		operation: "getBgpNeighborData",
		path:      "/devices/" + deviceID + "/bgp/neighbors",
		items:     func(l *BGPNeighborList) ([]BGPNeighbor, *Meta) { return l.BGPNeighbors, nil },
		id:        func(n *BGPNeighbor) string { return strconv.Itoa(n.AddressFamily) + n.CustomerIP },
	})
}
