package packet

import (
	"context"
	"encoding/json"
	"net/http"
)

// The levels of PlanCapacity.Level.
const (
	CapacityNormal      = "normal"
	CapacityLimited     = "limited"
	CapacityCritical    = "critical"
	CapacityUnavailable = "unavailable"
)

// PlanCapacity says how many servers of a plan a place has left.
type PlanCapacity struct {
	// Level is one of the Capacity constants.
	Level string `json:"level"`
	// AvailableServers is nil where there is no limit.
	AvailableServers *int `json:"available_servers,omitempty"`
}

// CapacityReport has the capacity by the code of a metro or a facility, and by
// the slug of a plan.
type CapacityReport map[string]map[string]PlanCapacity

// CapacityList is the answer of findCapacityForMetro, findCapacityForFacility
// and of the same operations of an organization.
type CapacityList struct {
	Capacity CapacityReport `json:"capacity"`
}

// CapacityServers asks, or tells, whether a number of servers of a plan can
// be had in a place. Plan and Metro are IDs or names.
type CapacityServers struct {
	Metro    string `json:"metro,omitempty"`
	Facility string `json:"facility,omitempty"`
	Plan     string `json:"plan,omitempty"`
	// Quantity is a number for some clients and a text for others. The answer
	// has it as it was sent.
	Quantity json.RawMessage `json:"quantity,omitempty"`
	// Available is only in answers.
	Available *bool `json:"available,omitempty"`
}

// CapacityCheck is the body and the answer of checkCapacityForMetro and
// checkCapacityForFacility.
type CapacityCheck struct {
	Servers []CapacityServers `json:"servers"`
}

// CapacityOfMetros says what can be had where (findCapacityForMetro).
func (c *Client) CapacityOfMetros(ctx context.Context) (CapacityReport, error) {
	list, err := get(ctx, c, "findCapacityForMetro", "/capacity/metros", nil, func(*CapacityList) string { return "capacity" })
	if err != nil {
		return nil, err
	}
	return list.Capacity, nil
}

// CheckCapacity asks whether servers can be had in metros
// (checkCapacityForMetro).
func (c *Client) CheckCapacity(ctx context.Context, servers ...CapacityServers) ([]CapacityServers, error) {
	answer, err := send(ctx, c, request{
		operation: "checkCapacityForMetro", method: http.MethodPost, path: "/capacity/metros", body: CapacityCheck{Servers: servers},
	}, func(*CapacityCheck) string { return "capacity" })
	if err != nil {
		return nil, err
	}
	return answer.Servers, nil
}
