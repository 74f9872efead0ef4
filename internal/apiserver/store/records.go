package store

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
)

// Organization owns projects.
type Organization struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Members are the IDs of the users that may do all in the organization,
	// besides those whose own organization it is.
	Members   []string  `json:"members,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
}

// User is a person with a token.
type User struct {
	ID             string    `json:"id"`
	OrganizationID string    `json:"organizationID"`
	Email          string    `json:"email"`
	FirstName      string    `json:"firstName"`
	LastName       string    `json:"lastName"`
	CreatedAt      time.Time `json:"createdAt"`
}

// Token lets a user in, or whoever works for one project. Its key is the SHA-256 of what the user sends: the
// token itself is not stored.
type Token struct {
	Hash string `json:"hash"`
	ID   string `json:"id"`
	// UserID is who made it, and whom it speaks for where ProjectID is empty.
	UserID string `json:"userID"`
	// ProjectID confines it to one project.
	ProjectID   string    `json:"projectID,omitempty"`
	ReadOnly    bool      `json:"readOnly,omitempty"`
	Description string    `json:"description"`
	CreatedAt   time.Time `json:"createdAt"`
}

// Project owns devices, addresses and keys.
type Project struct {
	ID             string    `json:"id"`
	OrganizationID string    `json:"organizationID"`
	Name           string    `json:"name"`
	CreatedAt      time.Time `json:"createdAt"`
}

// SSHKey is a public key. It belongs to a project, or to a user where
// ProjectID is empty.
type SSHKey struct {
	ID          string    `json:"id"`
	ProjectID   string    `json:"projectID,omitempty"`
	UserID      string    `json:"userID,omitempty"`
	Label       string    `json:"label"`
	Key         string    `json:"key"`
	Fingerprint string    `json:"fingerprint"`
	Tags        []string  `json:"tags,omitempty"`
	CreatedAt   time.Time `json:"createdAt"`
}

// Device is what is known of a device, but for its addresses and events,
// which are records of their own.
type Device struct {
	ID              string `json:"id"`
	ProjectID       string `json:"projectID"`
	Hostname        string `json:"hostname"`
	Description     string `json:"description,omitempty"`
	Plan            string `json:"plan"`
	OperatingSystem string `json:"operatingSystem"`
	Metro           string `json:"metro"`
	Facility        string `json:"facility"`

	State packet.DeviceState `json:"state"`
	// Operation is the action being carried out while State is one of the
	// powering states.
	Operation        string `json:"operation,omitempty"`
	OperationStarted bool   `json:"operationStarted,omitempty"`
	// Installation counts the installations. The provisioning events with
	// this number are those of the present one.
	Installation int `json:"installation"`
	// StepAt is when the present step of the lifecycle began.
	StepAt time.Time `json:"stepAt"`

	BillingCycle    string          `json:"billingCycle"`
	Tags            []string        `json:"tags,omitempty"`
	Userdata        string          `json:"userdata,omitempty"`
	CustomData      json.RawMessage `json:"customData,omitempty"`
	IPXEScriptURL   string          `json:"ipxeScriptURL,omitempty"`
	AlwaysPXE       bool            `json:"alwaysPXE,omitempty"`
	Storage         json.RawMessage `json:"storage,omitempty"`
	Locked          bool            `json:"locked,omitempty"`
	NetworkFrozen   bool            `json:"networkFrozen,omitempty"`
	FirmwareSetID   string          `json:"firmwareSetID,omitempty"`
	TerminationTime *time.Time      `json:"terminationTime,omitempty"`
	SSHKeyIDs       []string        `json:"sshKeyIDs,omitempty"`
	// RootPassword is taken away after 24 hours.
	RootPassword string    `json:"rootPassword,omitempty"`
	CreatedBy    string    `json:"createdBy,omitempty"`
	CreatedAt    time.Time `json:"createdAt"`
	UpdatedAt    time.Time `json:"updatedAt"`
}

// Event is something that happened to a device.
type Event struct {
	// ID is a version 7 UUID, so that the events of one transaction have an
	// order too.
	ID       string `json:"id"`
	DeviceID string `json:"deviceID"`
	Type     string `json:"type"`
	Body     string `json:"body"`
	State    string `json:"state,omitempty"`
	// Installation is the device's at that time.
	Installation int       `json:"installation"`
	CreatedAt    time.Time `json:"createdAt"`
}

// Reservation is a block of addresses that a project holds. Its key is the
// block, which is why etcd itself refuses to hand one out twice.
type Reservation struct {
	ID        string       `json:"id"`
	ProjectID string       `json:"projectID"`
	Block     netip.Prefix `json:"block"`
	// Type is one of the packet.IPType constants.
	Type string `json:"type"`
	// Metro is empty for a global block.
	Metro    string `json:"metro,omitempty"`
	Facility string `json:"facility,omitempty"`
	// Management is true for the blocks that devices get their own addresses
	// from.
	Management bool            `json:"management,omitempty"`
	Details    string          `json:"details,omitempty"`
	Tags       []string        `json:"tags,omitempty"`
	CustomData json.RawMessage `json:"customData,omitempty"`
	CreatedBy  string          `json:"createdBy,omitempty"`
	CreatedAt  time.Time       `json:"createdAt"`
}

// Assignment is an address, or a block of them, that a device has. Its key is
// the block.
type Assignment struct {
	ID            string       `json:"id"`
	DeviceID      string       `json:"deviceID"`
	ReservationID string       `json:"reservationID"`
	Block         netip.Prefix `json:"block"`
	Address       netip.Addr   `json:"address"`
	Gateway       netip.Addr   `json:"gateway"`
	Public        bool         `json:"public"`
	Management    bool         `json:"management"`
	Global        bool         `json:"global,omitempty"`
	Metro         string       `json:"metro,omitempty"`
	CreatedAt     time.Time    `json:"createdAt"`
}

// BGPConfig is a project's; its key is the project.
type BGPConfig struct {
	ID             string    `json:"id"`
	ProjectID      string    `json:"projectID"`
	DeploymentType string    `json:"deploymentType"`
	ASN            int64     `json:"asn"`
	MD5            string    `json:"md5,omitempty"`
	Status         string    `json:"status"`
	CreatedAt      time.Time `json:"createdAt"`
}

// BGPSession is a device's for one address family, and these two are its key.
type BGPSession struct {
	ID            string    `json:"id"`
	DeviceID      string    `json:"deviceID"`
	ProjectID     string    `json:"projectID"`
	AddressFamily string    `json:"addressFamily"`
	DefaultRoute  bool      `json:"defaultRoute,omitempty"`
	CreatedAt     time.Time `json:"createdAt"`
}
