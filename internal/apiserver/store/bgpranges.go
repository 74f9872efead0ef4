package store

import "net/netip"

// BGPRange is a block of a project's own addresses that its devices may
// announce to the world. Its key is the block, since no two projects can own
// the same.
type BGPRange struct {
	ID        string       `json:"id"`
	ProjectID string       `json:"projectID"`
	Range     netip.Prefix `json:"range"`
}
