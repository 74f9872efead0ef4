package packet

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// DeviceState is where a device is in its life.
type DeviceState string

// The states of a device. Generated clients refuse any other.
const (
	StateQueued         DeviceState = "queued"
	StateProvisioning   DeviceState = "provisioning"
	StateDeprovisioning DeviceState = "deprovisioning"
	StateReinstalling   DeviceState = "reinstalling"
	StateActive         DeviceState = "active"
	StateInactive       DeviceState = "inactive"
	StateFailed         DeviceState = "failed"
	StatePoweringOn     DeviceState = "powering_on"
	StatePoweringOff    DeviceState = "powering_off"
	StateDeleted        DeviceState = "deleted"
)

// The actions of DeviceAction.Type.
const (
	ActionPowerOn   = "power_on"
	ActionPowerOff  = "power_off"
	ActionReboot    = "reboot"
	ActionReinstall = "reinstall"
	ActionRescue    = "rescue"
)

// Device is a server that a project rents.
type Device struct {
	ID          string  `json:"id"`
	ShortID     string  `json:"short_id"`
	Href        string  `json:"href"`
	Hostname    string  `json:"hostname"`
	Description *string `json:"description,omitempty"`

	State DeviceState `json:"state"`
	// ProvisioningPercentage runs from 0 to 100: the share of the
	// provisioning events that have happened.
	ProvisioningPercentage float64 `json:"provisioning_percentage"`
	// ProvisioningEvents lists all steps of the installation. A step that was
	// not reached yet has neither ID nor CreatedAt.
	ProvisioningEvents []Event `json:"provisioning_events"`
	// Actions are those that can be asked for in the present state.
	Actions []DeviceActionName `json:"actions,omitempty"`

	Tags         []string `json:"tags"`
	BillingCycle string   `json:"billing_cycle"`
	// User is the account to log in with, "root" on most systems.
	User string `json:"user"`
	// RootPassword is shown in the first 24 hours of a device. It is a secret.
	RootPassword string `json:"root_password,omitempty"`
	// SOS is the address of the serial console, <id>@sos.<facility>.….
	SOS string `json:"sos,omitempty"`
	IQN string `json:"iqn,omitempty"`

	// Userdata is a secret: bootstrap providers put join tokens in it.
	Userdata      string          `json:"userdata"`
	CustomData    json.RawMessage `json:"customdata,omitempty"`
	IPXEScriptURL string          `json:"ipxe_script_url,omitempty"`
	AlwaysPXE     bool            `json:"always_pxe"`
	Storage       json.RawMessage `json:"storage,omitempty"`
	ImageURL      *string         `json:"image_url,omitempty"`
	FirmwareSetID string          `json:"firmware_set_id,omitempty"`

	// Locked refuses deletion and reinstallation, and nothing else.
	Locked          bool       `json:"locked"`
	SpotInstance    bool       `json:"spot_instance"`
	SpotPriceMax    *float64   `json:"spot_price_max,omitempty"`
	TerminationTime *Timestamp `json:"termination_time,omitempty"`

	// Plan, OperatingSystem, Facility and Metro are always expanded: old
	// clients read their slugs and codes without asking for them.
	Plan                *Plan                `json:"plan,omitempty"`
	OperatingSystem     *OperatingSystem     `json:"operating_system,omitempty"`
	Facility            *Facility            `json:"facility,omitempty"`
	Metro               *Metro               `json:"metro,omitempty"`
	Project             *Project             `json:"project,omitempty"`
	ProjectLite         *Href                `json:"project_lite,omitempty"`
	HardwareReservation *HardwareReservation `json:"hardware_reservation,omitempty"`
	CreatedBy           *UserLite            `json:"created_by,omitempty"`
	SSHKeys             []SSHKey             `json:"ssh_keys"`
	Volumes             []Href               `json:"volumes,omitempty"`

	IPAddresses  []IPAssignment `json:"ip_addresses"`
	NetworkPorts []Port         `json:"network_ports"`
	// BondingMode is Linux's number of it; 4 is 802.3ad.
	BondingMode   int    `json:"bonding_mode,omitempty"`
	NetworkFrozen bool   `json:"network_frozen"`
	SwitchUUID    string `json:"switch_uuid,omitempty"`

	CreatedAt *Timestamp `json:"created_at,omitempty"`
	UpdatedAt *Timestamp `json:"updated_at,omitempty"`
}

// DeviceActionName is an action that a device offers.
type DeviceActionName struct {
	Type string `json:"type"`
	Name string `json:"name,omitempty"`
}

// DeviceList is the answer to listing devices.
type DeviceList struct {
	Devices []Device `json:"devices"`
	Meta    *Meta    `json:"meta,omitempty"`
}

// DeviceCreate is the request for a device. Plan, OperatingSystem and one of
// Metro and Facility are required.
type DeviceCreate struct {
	Hostname        string `json:"hostname,omitempty"`
	Description     string `json:"description,omitempty"`
	Plan            string `json:"plan"`
	OperatingSystem string `json:"operating_system"`
	Metro           string `json:"metro,omitempty"`
	// Facility is one code, "any", or a list of them in order of preference.
	Facility FacilityCodes `json:"facility,omitempty"`
	// BillingCycle is hourly, daily, monthly or yearly; empty means hourly.
	BillingCycle string   `json:"billing_cycle,omitempty"`
	Tags         []string `json:"tags,omitempty"`

	Userdata      string          `json:"userdata,omitempty"`
	CustomData    json.RawMessage `json:"customdata,omitempty"`
	IPXEScriptURL string          `json:"ipxe_script_url,omitempty"`
	AlwaysPXE     bool            `json:"always_pxe,omitempty"`
	Storage       json.RawMessage `json:"storage,omitempty"`
	// Features is a list of names, or an object of name to required|preferred.
	Features json.RawMessage `json:"features,omitempty"`

	// HardwareReservationID is a UUID or "next-available".
	HardwareReservationID string     `json:"hardware_reservation_id,omitempty"`
	Locked                bool       `json:"locked,omitempty"`
	NetworkFrozen         bool       `json:"network_frozen,omitempty"`
	SpotInstance          bool       `json:"spot_instance,omitempty"`
	SpotPriceMax          float64    `json:"spot_price_max,omitempty"`
	TerminationTime       *Timestamp `json:"termination_time,omitempty"`

	// ProjectSSHKeys and UserSSHKeys are UUIDs. Without any key named, a
	// device gets all keys of its project, unless NoSSHKeys is set.
	ProjectSSHKeys []string       `json:"project_ssh_keys,omitempty"`
	UserSSHKeys    []string       `json:"user_ssh_keys,omitempty"`
	SSHKeys        []SSHKeyCreate `json:"ssh_keys,omitempty"`
	NoSSHKeys      bool           `json:"no_ssh_keys,omitempty"`

	// IPAddresses empty means public IPv4, private IPv4 and public IPv6.
	IPAddresses []IPAddressCreate `json:"ip_addresses,omitempty"`
	// PublicIPv4SubnetSize and PrivateIPv4SubnetSize are prefix lengths, and
	// deprecated in favour of IPAddresses.
	PublicIPv4SubnetSize  int `json:"public_ipv4_subnet_size,omitempty"`
	PrivateIPv4SubnetSize int `json:"private_ipv4_subnet_size,omitempty"`
}

// DeviceUpdate changes a device. What is nil stays as it is.
type DeviceUpdate struct {
	Hostname      *string         `json:"hostname,omitempty"`
	Description   *string         `json:"description,omitempty"`
	BillingCycle  *string         `json:"billing_cycle,omitempty"`
	Tags          *[]string       `json:"tags,omitempty"`
	Userdata      *string         `json:"userdata,omitempty"`
	CustomData    json.RawMessage `json:"customdata,omitempty"`
	IPXEScriptURL *string         `json:"ipxe_script_url,omitempty"`
	AlwaysPXE     *bool           `json:"always_pxe,omitempty"`
	Locked        *bool           `json:"locked,omitempty"`
	NetworkFrozen *bool           `json:"network_frozen,omitempty"`
	SpotInstance  *bool           `json:"spot_instance,omitempty"`
	FirmwareSetID *string         `json:"firmware_set_id,omitempty"`
}

// DeviceAction asks a device to do something. Only Type is required; the
// others belong to a reinstallation.
type DeviceAction struct {
	Type            string `json:"type"`
	ForceDelete     bool   `json:"force_delete,omitempty"`
	DeprovisionFast bool   `json:"deprovision_fast,omitempty"`
	PreserveData    bool   `json:"preserve_data,omitempty"`
	OperatingSystem string `json:"operating_system,omitempty"`
	IPXEScriptURL   string `json:"ipxe_script_url,omitempty"`
}

// HardwareReservation is a server that is kept for a project.
type HardwareReservation struct {
	ID              string     `json:"id,omitempty"`
	ShortID         string     `json:"short_id,omitempty"`
	Href            string     `json:"href,omitempty"`
	Provisionable   bool       `json:"provisionable,omitempty"`
	Spare           bool       `json:"spare,omitempty"`
	NeedOfService   bool       `json:"need_of_service,omitempty"`
	CustomRate      *float64   `json:"custom_rate,omitempty"`
	SwitchUUID      string     `json:"switch_uuid,omitempty"`
	Plan            *Plan      `json:"plan,omitempty"`
	Facility        *Facility  `json:"facility,omitempty"`
	Project         *Project   `json:"project,omitempty"`
	Device          *Device    `json:"device,omitempty"`
	TerminationTime *Timestamp `json:"termination_time,omitempty"`
	CreatedAt       *Timestamp `json:"created_at,omitempty"`
}

func deviceID(d *Device) string { return d.ID }

// Device reads one device.
func (c *Client) Device(ctx context.Context, id string, options ...QueryOption) (*Device, error) {
	if err := checkID("device", id); err != nil {
		return nil, err
	}
	return get(ctx, c, "findDeviceById", "/devices/"+id, query(options), deviceID)
}

// Devices lists a project's devices, all of them.
func (c *Client) Devices(ctx context.Context, projectID string, filter DeviceFilter, options ...QueryOption) ([]Device, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	return listAll(ctx, c, listing[DeviceList, Device]{
		operation: "findProjectDevices",
		path:      "/projects/" + projectID + "/devices",
		query:     filter.query(options),
		paged:     true,
		items:     func(l *DeviceList) ([]Device, *Meta) { return l.Devices, l.Meta },
		id:        deviceID,
	})
}

// CreateDevice rents a device. After an error that IsTransient the device may
// exist: look for it by its tags before asking again.
func (c *Client) CreateDevice(ctx context.Context, projectID string, create DeviceCreate, options ...QueryOption) (*Device, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	return send(ctx, c, request{
		operation: "createDevice", method: http.MethodPost, path: "/projects/" + projectID + "/devices", query: query(options), body: create,
	}, deviceID)
}

// UpdateDevice changes a device.
func (c *Client) UpdateDevice(ctx context.Context, id string, update DeviceUpdate, options ...QueryOption) (*Device, error) {
	if err := checkID("device", id); err != nil {
		return nil, err
	}
	return send(ctx, c, request{
		operation: "updateDevice", method: http.MethodPut, path: "/devices/" + id, query: query(options), body: update,
	}, deviceID)
}

// DeleteDevice gives a device back. Force does so whatever hangs on it. The
// device goes on to exist until it is deprovisioned.
func (c *Client) DeleteDevice(ctx context.Context, id string, force bool) error {
	if err := checkID("device", id); err != nil {
		return err
	}
	q := url.Values{}
	if force {
		q.Set("force_delete", "true")
	}
	return c.do(ctx, request{operation: "deleteDevice", method: http.MethodDelete, path: "/devices/" + id, query: q})
}

// DeviceAction asks a device to change its power state or to be reinstalled.
// It returns when the request is accepted, before it is done.
func (c *Client) DeviceAction(ctx context.Context, id string, action DeviceAction) error {
	if err := checkID("device", id); err != nil {
		return err
	}
	return c.do(ctx, request{operation: "performAction", method: http.MethodPost, path: "/devices/" + id + "/actions", body: action})
}
