package store

import (
	"fmt"
	"time"
)

// VirtualNetwork is a VLAN of a project in a metro. Project, metro and number
// are its key, which is why etcd itself refuses to hand out a number twice.
type VirtualNetwork struct {
	ID        string `json:"id"`
	ProjectID string `json:"projectID"`
	Metro     string `json:"metro"`
	// Facility is set on a VLAN that was asked for in one. Its number counts in
	// the metro all the same.
	Facility string `json:"facility,omitempty"`
	// VXLAN is the number, from 2 to 3999.
	VXLAN       int       `json:"vxlan"`
	Description string    `json:"description,omitempty"`
	Tags        []string  `json:"tags,omitempty"`
	CreatedAt   time.Time `json:"createdAt"`
}

// InMetro names the group of the virtual networks that a project has in a
// metro.
func InMetro(projectID, metro string) string { return "metro/" + projectID + "/" + metro }

// OfVirtualNetwork names the group of what uses a virtual network: the ports
// of devices, metal gateways, BGP dynamic neighbors.
func OfVirtualNetwork(id string) string { return "virtual-network/" + id }

func virtualNetworkKey(projectID, metro string, vxlan int) string {
	return fmt.Sprintf("%s/%s/%04d", projectID, metro, vxlan)
}

// VXLANTaken tells whether a project has a virtual network of a number in a
// metro.
func (s *Snapshot) VXLANTaken(projectID, metro string, vxlan int) bool {
	_, taken := s.VirtualNetworks.at(virtualNetworkKey(projectID, metro, vxlan))
	return taken
}

// VirtualNetworkNumbered finds a project's virtual network of a number in a
// metro.
func (s *Snapshot) VirtualNetworkNumbered(projectID, metro string, vxlan int) (*Row[VirtualNetwork], bool) {
	return s.VirtualNetworks.at(virtualNetworkKey(projectID, metro, vxlan))
}

func (s *Snapshot) registerVirtualNetworks() {
	register(s, &s.VirtualNetworks, "virtual-networks/", Table[VirtualNetwork]{
		key: func(v *VirtualNetwork) string { return virtualNetworkKey(v.ProjectID, v.Metro, v.VXLAN) },
		id:  func(v *VirtualNetwork) string { return v.ID },
		groups: func(v *VirtualNetwork) []string {
			return []string{InProject(v.ProjectID), InMetro(v.ProjectID, v.Metro)}
		},
	})
}
