package packet

import (
	"context"
	"encoding/json"
)

// The types of the provisioning events, in their order. The texts that go
// with them are the API server's.
const (
	EventProvisioningStarted  = "provisioning.101"
	EventNetworkConfigured    = "provisioning.102"
	EventConfigurationWritten = "provisioning.103"
	EventConnectedToInstaller = "provisioning.104"
	// EventConnectedToDHCP is how a device with custom_ipxe tells that it was
	// served its script.
	EventConnectedToDHCP             = "provisioning.104.01"
	EventPartitionsCreated           = "provisioning.105"
	EventPackagesInstalled           = "provisioning.106"
	EventNetworkInterfacesConfigured = "provisioning.107"
	EventCloudInitConfigured         = "provisioning.108"
	EventInstallationFinished        = "provisioning.109"
	EventPhonedHome                  = "provisioning.110"
)

// The types of the power events.
const (
	EventPowerQueued    = "power.200"
	EventPowerStarted   = "power.201"
	EventPoweredOff     = "power.202"
	EventPowerRebooted  = "power.203"
	EventPoweredOn      = "power.204"
	EventUserTypePrefix = "user."
)

// The codes that a machine reports about its user data, as user.<code>.
const (
	UserStateRunning   = "user.1000"
	UserStateSucceeded = "user.1001"
	UserStateFailed    = "user.1002"
)

// Event is something that happened to an object.
type Event struct {
	// ID and CreatedAt are absent from a provisioning event that is to come.
	ID   string `json:"id,omitempty"`
	Href string `json:"href,omitempty"`
	// Type is one of the Event constants, or user.<code> for what a machine
	// said of itself.
	Type string `json:"type,omitempty"`
	// Body is the text. Of a user event it is the machine's message, which can
	// hold the last lines of its console.
	Body string `json:"body,omitempty"`
	// State is, of a user event, what the machine called it: running,
	// succeeded or failed.
	State string `json:"state,omitempty"`
	// Interpolated is Body with links to the objects it is about.
	Interpolated  string          `json:"interpolated,omitempty"`
	Relationships []Href          `json:"relationships,omitempty"`
	ModifiedBy    json.RawMessage `json:"modified_by,omitempty"`
	IP            string          `json:"ip,omitempty"`
	CreatedAt     *Timestamp      `json:"created_at,omitempty"`
}

// EventList is the answer to listing events, newest first.
type EventList struct {
	Events []Event `json:"events"`
	Meta   *Meta   `json:"meta,omitempty"`
}

// DeviceEvents lists what happened to a device, newest first.
func (c *Client) DeviceEvents(ctx context.Context, deviceID string, options ...QueryOption) ([]Event, error) {
	if err := checkID("device", deviceID); err != nil {
		return nil, err
	}
	return listAll(ctx, c, listing[EventList, Event]{
		operation: "findDeviceEvents",
		path:      "/devices/" + deviceID + "/events",
		query:     query(options),
		paged:     true,
		items:     func(l *EventList) ([]Event, *Meta) { return l.Events, l.Meta },
		id:        func(e *Event) string { return e.ID },
	})
}
