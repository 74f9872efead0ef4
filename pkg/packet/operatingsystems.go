package packet

import (
	"context"
	"encoding/json"
)

// OSCustomIPXE is the operating system that boots what an iPXE script says.
const OSCustomIPXE = "custom_ipxe"

// OperatingSystem is what a device can be installed with.
type OperatingSystem struct {
	ID              string   `json:"id,omitempty"`
	Href            string   `json:"href,omitempty"`
	Slug            string   `json:"slug,omitempty"`
	Name            string   `json:"name,omitempty"`
	Distro          string   `json:"distro,omitempty"`
	DistroLabel     string   `json:"distro_label,omitempty"`
	Version         string   `json:"version,omitempty"`
	LifecycleState  string   `json:"lifecycle_state,omitempty"`
	ReleaseNotes    string   `json:"release_notes,omitempty"`
	ProvisionableOn []string `json:"provisionable_on,omitempty"`

	Licensed               bool            `json:"licensed,omitempty"`
	Preinstallable         bool            `json:"preinstallable,omitempty"`
	DefaultOperatingSystem bool            `json:"default_operating_system,omitempty"`
	Pricing                json.RawMessage `json:"pricing,omitempty"`

	// The dates are days: 2006-01-02.
	BuildDate        string `json:"build_date,omitempty"`
	ReleaseDate      string `json:"release_date,omitempty"`
	DeprecationDate  string `json:"deprecation_date,omitempty"`
	EndOfLifeDate    string `json:"end_of_life_date,omitempty"`
	EndOfServiceDate string `json:"end_of_service_date,omitempty"`
}

// OperatingSystemList is the answer to listing operating systems, which has
// no pages.
type OperatingSystemList struct {
	OperatingSystems []OperatingSystem `json:"operating_systems"`
}

// OperatingSystems lists all operating systems.
func (c *Client) OperatingSystems(ctx context.Context) ([]OperatingSystem, error) {
	return listAll(ctx, c, listing[OperatingSystemList, OperatingSystem]{
		operation: "findOperatingSystems",
		path:      "/operating-systems",
		items:     func(l *OperatingSystemList) ([]OperatingSystem, *Meta) { return l.OperatingSystems, nil },
		id:        func(s *OperatingSystem) string { return s.ID },
	})
}
