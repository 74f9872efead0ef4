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
	Members        []string        `json:"members,omitempty"`
	Description    string          `json:"description,omitempty"`
	Website        string          `json:"website,omitempty"`
	Twitter        string          `json:"twitter,omitempty"`
	Address        *packet.Address `json:"address,omitempty"`
	BillingAddress *packet.Address `json:"billingAddress,omitempty"`
	CustomData     json.RawMessage `json:"customData,omitempty"`

	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
}

// User is a person with a token.
type User struct {
	ID             string          `json:"id"`
	OrganizationID string          `json:"organizationID"`
	Email          string          `json:"email"`
	FirstName      string          `json:"firstName"`
	LastName       string          `json:"lastName"`
	PhoneNumber    string          `json:"phoneNumber,omitempty"`
	Timezone       string          `json:"timezone,omitempty"`
	CustomData     json.RawMessage `json:"customData,omitempty"`
	CreatedAt      time.Time       `json:"createdAt"`
	UpdatedAt      time.Time       `json:"updatedAt,omitzero"`
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
	ID             string `json:"id"`
	OrganizationID string `json:"organizationID"`
	Name           string `json:"name"`
	// MaxDevices is how many devices of each plan the project may have, by the
	// plan's slug; DefaultMaxDevices is the key for all other plans. A plan
	// without an entry has no limit.
	MaxDevices map[string]int  `json:"maxDevices,omitempty"`
	Tags       []string        `json:"tags,omitempty"`
	CustomData json.RawMessage `json:"customData,omitempty"`
	// BackendTransfer lets the private addresses of the project's facilities
	// reach each other.
	BackendTransfer bool      `json:"backendTransfer,omitempty"`
	CreatedAt       time.Time `json:"createdAt"`
	UpdatedAt       time.Time `json:"updatedAt,omitzero"`
}

// DefaultMaxDevices is the key in Project.MaxDevices of the plans that have
// none of their own.
const DefaultMaxDevices = "default"

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
	UpdatedAt   time.Time `json:"updatedAt,omitzero"`
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
	// Steps are when the steps of the present installation ended, in
	// microseconds since 1970 and in the lifecycle's order; 0 is for one that
	// has not. Use StepDone and SetStep. They stand for the provisioning
	// events, which are records only of earlier installations.
	Steps []int64 `json:"steps,omitempty"`

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
	// HardwareReservationID is the reserved server that the device is on, empty
	// for one on demand.
	HardwareReservationID string `json:"hardwareReservationID,omitempty"`
	// SpotInstance is true for a device that was bought on the spot market, and
	// goes at its TerminationTime when it is outbid.
	SpotInstance bool `json:"spotInstance,omitempty"`
	// SpotPriceMax is what is paid for it at most, in US dollars an hour.
	SpotPriceMax float64 `json:"spotPriceMax,omitempty"`
	// Features are those that were asked for: name to required or preferred.
	Features map[string]string `json:"features,omitempty"`
	// Rescue is true from when the device is booted into the rescue system
	// until it is booted otherwise.
	Rescue bool `json:"rescue,omitempty"`
	// FastWipe has the present installation leave out the wiping of the disks.
	FastWipe bool `json:"fastWipe,omitempty"`
	// RootPassword is taken away 24 hours after RootPasswordAt, or after
	// CreatedAt where that is zero.
	RootPassword   string    `json:"rootPassword,omitempty"`
	RootPasswordAt time.Time `json:"rootPasswordAt,omitzero"`
	CreatedBy      string    `json:"createdBy,omitempty"`
	CreatedAt      time.Time `json:"createdAt"`
	UpdatedAt      time.Time `json:"updatedAt"`
}

// Event is something that happened to a device. The provisioning events of
// its present installation are not records: see Device.Steps.
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
	ID        string `json:"id"`
	ProjectID string `json:"projectID"`
	// State is empty for a reservation that has its block. One that waits for
	// approval, or was denied it, has a quantity and no block.
	State    string       `json:"state,omitempty"`
	Quantity int          `json:"quantity,omitempty"`
	Block    netip.Prefix `json:"block"`
	// Type is one of the packet.IPType constants.
	Type string `json:"type"`
	// VRFID is set for a block inside a VRF, and then part of the key.
	VRFID string `json:"vrfID,omitempty"`
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

// Assignment is an address, or a block of them, that a device has, or a metal
// gateway routes to. Its key is the block.
type Assignment struct {
	ID string `json:"id"`
	// DeviceID is empty for what a metal gateway has.
	DeviceID string `json:"deviceID,omitempty"`
	// MetalGatewayID is the gateway that routes the block to NextHop.
	MetalGatewayID string       `json:"metalGatewayID,omitempty"`
	NextHop        netip.Addr   `json:"nextHop,omitzero"`
	Tags           []string     `json:"tags,omitempty"`
	ReservationID  string       `json:"reservationID"`
	Block          netip.Prefix `json:"block"`
	Address        netip.Addr   `json:"address"`
	Gateway        netip.Addr   `json:"gateway"`
	Public         bool         `json:"public"`
	Management     bool         `json:"management"`
	// Global is true for an address that a device in each metro may have. Of
	// these the metro is part of the key.
	Global     bool            `json:"global,omitempty"`
	Metro      string          `json:"metro,omitempty"`
	CustomData json.RawMessage `json:"customData,omitempty"`
	CreatedAt  time.Time       `json:"createdAt"`
}

// BGPConfig is a project's; its key is the project.
type BGPConfig struct {
	ID             string    `json:"id"`
	ProjectID      string    `json:"projectID"`
	DeploymentType string    `json:"deploymentType"`
	ASN            int64     `json:"asn"`
	MD5            string    `json:"md5,omitempty"`
	UseCase        string    `json:"useCase,omitempty"`
	Status         string    `json:"status"`
	CreatedAt      time.Time `json:"createdAt"`
}

// BGPSession is a device's for one address family, and these two are its key.
type BGPSession struct {
	ID            string `json:"id"`
	DeviceID      string `json:"deviceID"`
	ProjectID     string `json:"projectID"`
	AddressFamily string `json:"addressFamily"`
	DefaultRoute  bool   `json:"defaultRoute,omitempty"`
	// Status is what the switches reported last, one word for each and a comma
	// between them, empty for nothing.
	Status        string    `json:"status,omitempty"`
	LearnedRoutes []string  `json:"learnedRoutes,omitempty"`
	CreatedAt     time.Time `json:"createdAt"`
	UpdatedAt     time.Time `json:"updatedAt,omitzero"`
}
