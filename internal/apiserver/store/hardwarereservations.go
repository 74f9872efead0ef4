package store

import "time"

// HardwareReservation is a server that is kept for a project.
type HardwareReservation struct {
	ID        string `json:"id"`
	ProjectID string `json:"projectID"`
	Plan      string `json:"plan"`
	Metro     string `json:"metro"`
	Facility  string `json:"facility"`
	// DeviceID is the device that is on the server, empty for none. Writing it
	// with the device is what keeps two devices from one server.
	DeviceID string `json:"deviceID,omitempty"`
	// Spare servers stand in for others that are in need of service, and take
	// no device before they are activated.
	Spare         bool `json:"spare,omitempty"`
	NeedOfService bool `json:"needOfService,omitempty"`
	// ProvisionableAt is when a server is clean again after a device; before,
	// it takes none.
	ProvisionableAt time.Time `json:"provisionableAt,omitzero"`
	// CustomRate is in US dollars for each billing cycle, nil for the plan's.
	CustomRate *float64 `json:"customRate,omitempty"`
	// Description is the note given when a spare was activated.
	Description     string     `json:"description,omitempty"`
	TerminationTime *time.Time `json:"terminationTime,omitempty"`
	CreatedAt       time.Time  `json:"createdAt"`
}

// Provisionable tells whether the server takes a device at a time.
func (r *HardwareReservation) Provisionable(now time.Time) bool {
	ended := r.TerminationTime != nil && !now.Before(*r.TerminationTime)
	return r.DeviceID == "" && !r.Spare && !r.NeedOfService && !ended && !now.Before(r.ProvisionableAt)
}
