package metadata

import (
	"encoding/json"
	"fmt"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/bgp"
	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/hardware"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// metadata is the document at /metadata. Its keys are those of the service's
// own implementation, on which agents such as afterburn insist.
type metadata struct {
	ID              string               `json:"id"`
	Hostname        string               `json:"hostname"`
	IQN             string               `json:"iqn"`
	OperatingSystem operatingSystem      `json:"operating_system"`
	Plan            string               `json:"plan"`
	Reserved        bool                 `json:"reserved"`
	Class           string               `json:"class"`
	Facility        string               `json:"facility"`
	Metro           string               `json:"metro"`
	PrivateSubnets  []string             `json:"private_subnets"`
	Tags            []string             `json:"tags"`
	SSHKeys         []string             `json:"ssh_keys"`
	CustomData      json.RawMessage      `json:"customdata"`
	Specs           *packet.PlanSpecs    `json:"specs"`
	SwitchShortID   string               `json:"switch_short_id"`
	StorageSource   string               `json:"storage_source"`
	Storage         json.RawMessage      `json:"storage"`
	Volumes         []string             `json:"volumes"`
	BootDriveHint   string               `json:"boot_drive_hint"`
	Network         network              `json:"network"`
	BGPNeighbors    []packet.BGPNeighbor `json:"bgp_neighbors"`
	Spot            spot                 `json:"spot"`
	APIURL          string               `json:"api_url"`
	PhoneHomeURL    string               `json:"phone_home_url"`
	UserStateURL    string               `json:"user_state_url"`
	State           packet.DeviceState   `json:"state"`
}

// spot is empty for a device that nobody can outbid.
type spot struct {
	// TerminationTime is when the machine goes, known at least two minutes
	// before.
	TerminationTime *packet.Timestamp `json:"termination_time,omitempty"`
}

// spotOf is what a device on the spot market has to know.
func spotOf(d *store.Device) spot {
	if !d.SpotInstance || d.TerminationTime == nil {
		return spot{}
	}
	return spot{TerminationTime: packet.NewTimestamp(*d.TerminationTime)}
}

// Document is what the service tells a device of itself, as JSON. Base is the
// URL of the service as the device knows it, without a slash at its end.
func Document(s *store.Snapshot, c *catalogue.Catalogue, d *store.Device, base string) ([]byte, error) {
	m := metadata{
		ID:             d.ID,
		Hostname:       d.Hostname,
		IQN:            hardware.IQN(d.ID, d.CreatedAt),
		Plan:           d.Plan,
		Reserved:       d.HardwareReservationID != "",
		Class:          d.Plan,
		Facility:       d.Facility,
		Metro:          d.Metro,
		PrivateSubnets: []string{"10.0.0.0/8"},
		Tags:           append([]string{}, d.Tags...),
		SSHKeys:        sshKeys(s, d),
		CustomData:     orObject(d.CustomData),
		SwitchShortID:  hardware.ShortID(hardware.SwitchID(d.Facility)),
		StorageSource:  "default",
		Volumes:        []string{},
		BGPNeighbors:   bgp.Neighbors(s, d),
		Spot:           spotOf(d),
		APIURL:         base,
		PhoneHomeURL:   base + "/phone-home",
		UserStateURL:   base + "/events",
		State:          d.State,
		Network:        networkOf(s, d),
	}
	var drives []packet.PlanDrive
	if plan, ok := c.Plan(d.Plan); ok {
		m.Specs = plan.Specs
		drives = plan.Specs.Drives
	}
	boot := bootDrive(drives)
	m.BootDriveHint = boot.model
	if m.Storage = d.Storage; len(d.Storage) > 0 {
		m.StorageSource = "custom"
	}
	m.OperatingSystem, _ = systemOf(c, d)
	if len(m.Storage) == 0 && d.OperatingSystem != packet.OSCustomIPXE {
		layout, err := json.Marshal(boot.layout())
		if err != nil {
			return nil, fmt.Errorf("encoding the storage of %s: %w", d.ID, err)
		}
		m.Storage = layout
	}
	m.Storage = orObject(m.Storage)
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding the metadata of %s: %w", d.ID, err)
	}
	return body, nil
}

// sshKeys lists the public keys that a device lets in.
func sshKeys(s *store.Snapshot, d *store.Device) []string {
	keys := []string{}
	for _, id := range d.SSHKeyIDs {
		if row, ok := s.SSHKeys.Get(id); ok {
			keys = append(keys, row.Value.Key)
		}
	}
	return keys
}

func orObject(data json.RawMessage) json.RawMessage {
	if len(data) == 0 {
		return json.RawMessage(`{}`)
	}
	return data
}

// address is one of a device's addresses.
type address struct {
	ID            string              `json:"id"`
	AddressFamily int                 `json:"address_family"`
	Netmask       string              `json:"netmask"`
	CreatedAt     *packet.Timestamp   `json:"created_at"`
	Public        bool                `json:"public"`
	CIDR          int                 `json:"cidr"`
	Management    bool                `json:"management"`
	Enabled       bool                `json:"enabled"`
	Network       string              `json:"network"`
	Address       string              `json:"address"`
	Gateway       string              `json:"gateway"`
	ParentBlock   *packet.ParentBlock `json:"parent_block"`
}

func addressOf(s *store.Snapshot, v *store.Assignment) address {
	shown := address{
		ID:            v.ID,
		AddressFamily: 4,
		Netmask:       addresses.Netmask(v.Block),
		CreatedAt:     packet.NewTimestamp(v.CreatedAt),
		Public:        v.Public,
		CIDR:          v.Block.Bits(),
		Management:    v.Management,
		Enabled:       true,
		Network:       v.Block.Addr().String(),
		Address:       v.Address.String(),
		Gateway:       v.Gateway.String(),
	}
	if v.Address.Is6() {
		shown.AddressFamily = 6
	}
	if row, ok := s.Reservations.Get(v.ReservationID); ok {
		block := row.Value.Block
		shown.ParentBlock = &packet.ParentBlock{
			Href:    "/ips/" + row.Value.ID,
			Network: block.Addr().String(),
			Netmask: addresses.Netmask(block),
			CIDR:    block.Bits(),
		}
	}
	return shown
}
