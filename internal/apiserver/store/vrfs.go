package store

import (
	"net/netip"
	"time"
)

// VRF is a virtual router of a project: a routing table of its own in a metro.
type VRF struct {
	ID          string `json:"id"`
	ProjectID   string `json:"projectID"`
	Metro       string `json:"metro"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	LocalASN    int64  `json:"localASN"`
	// IPRanges are what reservations can be made out of. They do not overlap.
	IPRanges                 []netip.Prefix `json:"ipRanges,omitempty"`
	DynamicNeighbors         bool           `json:"dynamicNeighbors,omitempty"`
	DynamicNeighborsRouteMap bool           `json:"dynamicNeighborsRouteMap,omitempty"`
	DynamicNeighborsBFD      bool           `json:"dynamicNeighborsBFD,omitempty"`
	Tags                     []string       `json:"tags,omitempty"`
	CreatedBy                string         `json:"createdBy,omitempty"`
	CreatedAt                time.Time      `json:"createdAt"`
	UpdatedAt                time.Time      `json:"updatedAt"`
}

// VRFRoute is a static route in a VRF. VRF and prefix are its key.
type VRFRoute struct {
	ID               string          `json:"id"`
	ProjectID        string          `json:"projectID"`
	VRFID            string          `json:"vrfID"`
	Prefix           netip.Prefix    `json:"prefix"`
	NextHop          netip.Addr      `json:"nextHop"`
	MetalGatewayID   string          `json:"metalGatewayID"`
	VirtualNetworkID string          `json:"virtualNetworkID"`
	Tags             []string        `json:"tags,omitempty"`
	Events           []VRFRouteEvent `json:"events,omitempty"`
	CreatedAt        time.Time       `json:"createdAt"`
	UpdatedAt        time.Time       `json:"updatedAt"`
}

// VRFRouteEvent is something that happened to a route.
type VRFRouteEvent struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"`
	Body      string    `json:"body"`
	CreatedAt time.Time `json:"createdAt"`
}

// OfVRF names the group of what is in a VRF: reservations, gateways, routes.
func OfVRF(id string) string { return "vrf/" + id }

// WithEvent names the group of the route that has an event.
func WithEvent(id string) string { return "event/" + id }

func (s *Snapshot) registerVRFs() {
	register(s, &s.VRFs, "vrfs/", Table[VRF]{
		id:     func(v *VRF) string { return v.ID },
		groups: func(v *VRF) []string { return []string{InProject(v.ProjectID)} },
	})
	register(s, &s.VRFRoutes, "vrf-routes/", Table[VRFRoute]{
		key: func(v *VRFRoute) string { return v.VRFID + "/" + blockKey(v.Prefix) },
		id:  func(v *VRFRoute) string { return v.ID },
		groups: func(v *VRFRoute) []string {
			groups := []string{OfVRF(v.VRFID), OfMetalGateway(v.MetalGatewayID)}
			for _, event := range v.Events {
				groups = append(groups, WithEvent(event.ID))
			}
			return groups
		},
	})
}
