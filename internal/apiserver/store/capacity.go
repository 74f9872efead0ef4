package store

import (
	"cmp"
	"time"
)

// Capacity is how many servers of a plan there are in a metro for devices on
// demand; reserved servers are others. Its key is the plan and the metro.
type Capacity struct {
	// Plan is a slug, Metro a code. Empty means every one that has no record
	// of its own.
	Plan  string `json:"plan,omitempty"`
	Metro string `json:"metro,omitempty"`
	// Servers counts those in use too. Less than 0 means that there is no
	// limit, whatever a more general record says.
	Servers   int       `json:"servers"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// CapacityClaim is written by whoever takes one of a limited number of
// servers, so that two never take the last one. Its key is the plan and the
// metro.
type CapacityClaim struct {
	Plan  string `json:"plan"`
	Metro string `json:"metro"`
	// Claims counts the devices that were ever made under a limit.
	Claims int64 `json:"claims"`
}

// CapacityID is the ID of the Capacity and of the CapacityClaim of a plan in
// a metro. An empty name stands for every one.
func CapacityID(plan, metro string) string {
	return cmp.Or(plan, "*") + "/" + cmp.Or(metro, "*")
}

// OnDemand names the group of the devices of a plan in a metro that are not on
// reserved hardware.
func OnDemand(plan, metro string) string { return "on-demand/" + plan + "/" + metro }
