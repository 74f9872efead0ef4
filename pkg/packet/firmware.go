package packet

// FirmwareSet is the versions of the firmware that belong together on one
// model of server.
type FirmwareSet struct {
	UUID      string     `json:"uuid"`
	Name      string     `json:"name"`
	CreatedAt *Timestamp `json:"created_at,omitempty"`
	UpdatedAt *Timestamp `json:"updated_at,omitempty"`
	// Attributes say which servers the set is for.
	Attributes        []FirmwareAttribute `json:"attributes,omitempty"`
	ComponentFirmware []FirmwareComponent `json:"component_firmware,omitempty"`
}

// FirmwareAttribute is about a FirmwareSet as a whole.
type FirmwareAttribute struct {
	Namespace string                `json:"namespace"`
	Data      FirmwareAttributeData `json:"data"`
}

// FirmwareAttributeData says which servers a set is for. Plan is a slug.
type FirmwareAttributeData struct {
	Latest bool   `json:"latest"`
	Model  string `json:"model"`
	Vendor string `json:"vendor"`
	Plan   string `json:"plan"`
}

// FirmwareComponent is the firmware of one part of a server. Component is
// bios, bmc or nic, for example.
type FirmwareComponent struct {
	UUID      string   `json:"uuid"`
	Vendor    string   `json:"vendor"`
	Model     []string `json:"model"`
	Filename  string   `json:"filename"`
	Version   string   `json:"version"`
	Component string   `json:"component"`
}

// FirmwareSetResponse is the answer of getDeviceFirmwareSets.
type FirmwareSetResponse struct {
	Record FirmwareSet `json:"record"`
}

// FirmwareSetList is the answer of getProjectFirmwareSets and of
// getOrganizationFirmwareSets, whose pages are told of otherwise than those
// of the other lists.
type FirmwareSetList struct {
	PageSize         int           `json:"page_size"`
	Page             int           `json:"page"`
	PageCount        int           `json:"page_count"`
	TotalPages       int           `json:"total_pages"`
	TotalRecordCount int           `json:"total_record_count"`
	Records          []FirmwareSet `json:"records"`
}

// The values of DeviceHealth.Rollup.
const (
	HealthOK       = "ok"
	HealthWarning  = "warning"
	HealthCritical = "critical"
)

// DeviceHealth is the answer of getDeviceHealthRollup.
type DeviceHealth struct {
	Rollup    string     `json:"health_rollup"`
	UpdatedAt *Timestamp `json:"updated_at,omitempty"`
}
