package metadata

import (
	"encoding/json"
	"fmt"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/bgp"
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
	Storage         json.RawMessage      `json:"storage"`
	Volumes         []string             `json:"volumes"`
	BootDriveHint   string               `json:"boot_drive_hint"`
	Network         network              `json:"network"`
	BGPNeighbors    []packet.BGPNeighbor `json:"bgp_neighbors"`
	Spot            struct{}             `json:"spot"`
	APIURL          string               `json:"api_url"`
	PhoneHomeURL    string               `json:"phone_home_url"`
	UserStateURL    string               `json:"user_state_url"`
	State           packet.DeviceState   `json:"state"`
}

type operatingSystem struct {
	Slug              string            `json:"slug"`
	Distro            string            `json:"distro"`
	Version           string            `json:"version"`
	LicenseActivation licenseActivation `json:"license_activation"`
	ImageTag          string            `json:"image_tag"`
}

type licenseActivation struct {
	State string `json:"state"`
}

type network struct {
	Bonding       bonding            `json:"bonding"`
	Interfaces    []networkInterface `json:"interfaces"`
	Addresses     []address          `json:"addresses"`
	MetalGateways []struct{}         `json:"metal_gateways"`
}

type bonding struct {
	Mode            int    `json:"mode"`
	LinkAggregation string `json:"link_aggregation"`
	MAC             string `json:"mac"`
}

type networkInterface struct {
	Name string `json:"name"`
	MAC  string `json:"mac"`
	Bond string `json:"bond"`
}

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

func document(s *service, c *caller) (*answer, error) {
	d := c.row.Value
	m := metadata{
		ID:             d.ID,
		Hostname:       d.Hostname,
		IQN:            hardware.IQN(d.ID, d.CreatedAt),
		Plan:           d.Plan,
		Class:          d.Plan,
		Facility:       d.Facility,
		Metro:          d.Metro,
		PrivateSubnets: []string{"10.0.0.0/8"},
		Tags:           d.Tags,
		SSHKeys:        c.sshKeys(),
		CustomData:     d.CustomData,
		SwitchShortID:  hardware.ShortID(hardware.SwitchID(d.Facility)),
		Storage:        d.Storage,
		Volumes:        []string{},
		BGPNeighbors:   bgp.Neighbors(c.snapshot, d),
		APIURL:         "http://" + c.host,
		PhoneHomeURL:   "http://" + c.host + "/phone-home",
		UserStateURL:   "http://" + c.host + "/events",
		State:          d.State,
		Network: network{
			Bonding:       bonding{Mode: hardware.BondingMode, LinkAggregation: "bonded", MAC: hardware.MAC(d.ID, 0)},
			Addresses:     []address{},
			MetalGateways: []struct{}{},
		},
	}
	if m.Tags == nil {
		m.Tags = []string{}
	}
	if m.CustomData == nil {
		m.CustomData = json.RawMessage(`{}`)
	}
	if m.Storage == nil {
		m.Storage = json.RawMessage(`{}`)
	}
	if plan, ok := s.Catalogue.Plan(d.Plan); ok {
		m.Specs = plan.Specs
	}
	if system, ok := s.Catalogue.OperatingSystem(d.OperatingSystem); ok {
		m.OperatingSystem = operatingSystem{Slug: system.Slug, Distro: system.Distro, Version: system.Version}
		m.OperatingSystem.LicenseActivation.State = "unlicensed"
	}
	for i, name := range hardware.Interfaces() {
		m.Network.Interfaces = append(m.Network.Interfaces, networkInterface{Name: name, MAC: hardware.MAC(d.ID, i), Bond: hardware.Bond})
	}
	for _, assignment := range c.snapshot.AddressesOf(d.ID) {
		m.Network.Addresses = append(m.Network.Addresses, c.address(assignment.Value))
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding the metadata of %s: %w", d.ID, err)
	}
	return &answer{contentType: "application/json; charset=utf-8", body: body}, nil
}

func (c *caller) address(v *store.Assignment) address {
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
	if row, ok := c.snapshot.Reservations.Get(v.ReservationID); ok {
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
