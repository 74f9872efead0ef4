package store

import (
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
)

// The states of a Batch.
const (
	BatchQueued    = "queued"
	BatchCompleted = "completed"
	BatchFailed    = "failed"
)

// Batch is a number of devices that were asked for at once. They are made one
// after the other, each in one transaction with this record, so that whoever
// goes on with a batch knows which of its devices there are.
type Batch struct {
	ID        string `json:"id"`
	ProjectID string `json:"projectID"`
	// Order is what is asked for, with Hostnames in place of its own, one for
	// each device.
	Order     packet.DeviceCreate `json:"order"`
	Hostnames []string            `json:"hostnames"`
	// DeviceIDs are the devices that were made, in the order of Hostnames.
	DeviceIDs []string `json:"deviceIDs,omitempty"`
	// State is one of the Batch constants.
	State     string    `json:"state"`
	Errors    []string  `json:"errors,omitempty"`
	CreatedBy string    `json:"createdBy,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}
