package apiserver

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/hardware"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// href is the reference to an object.
func href(kind, id string) string {
	return prefix + "/" + kind + "/" + id
}

func reference(kind, id string) *packet.Href {
	return &packet.Href{Href: href(kind, id)}
}

// encodeRow is a record as the API shows it, made once.
func encodeRow[T, V any](row *store.Row[T], render func(*T) V) ([]byte, error) {
	return row.Encoded(func() ([]byte, error) { return json.Marshal(render(row.Value)) })
}

// encodeAll does that for a list that is not in the store.
func encodeAll[T any](values []T) ([][]byte, error) {
	elements := make([][]byte, 0, len(values))
	for i := range values {
		data, err := json.Marshal(&values[i])
		if err != nil {
			return nil, fmt.Errorf("encoding an element of a list: %w", err)
		}
		elements = append(elements, data)
	}
	return elements, nil
}

func (a *API) encodeDevice(s *store.Snapshot, row *store.Row[store.Device]) ([]byte, error) {
	return row.Encoded(func() ([]byte, error) { return json.Marshal(a.device(s, row.Value)) })
}

func (a *API) encodeReservation(s *store.Snapshot, row *store.Row[store.Reservation]) ([]byte, error) {
	return row.Encoded(func() ([]byte, error) { return json.Marshal(a.anyReservation(s, row.Value)) })
}

func (a *API) encodeAssignment(_ *store.Snapshot, row *store.Row[store.Assignment]) ([]byte, error) {
	return encodeRow(row, a.assignment)
}

// device is a device with all that a client sees without asking for more.
func (a *API) device(s *store.Snapshot, d *store.Device) *packet.Device {
	steps := lifecycle.Steps(s, d)
	shown := &packet.Device{
		ID:                     d.ID,
		ShortID:                hardware.ShortID(d.ID),
		Href:                   href("devices", d.ID),
		Hostname:               d.Hostname,
		State:                  d.State,
		ProvisioningPercentage: lifecycle.Percentage(steps),
		Tags:                   orEmpty(d.Tags),
		BillingCycle:           d.BillingCycle,
		User:                   "root",
		RootPassword:           d.RootPassword,
		SOS:                    fmt.Sprintf("%s@sos.%s.platformequinix.com", d.ID, d.Facility),
		IQN:                    hardware.IQN(d.ID, d.CreatedAt),
		Userdata:               d.Userdata,
		CustomData:             orObject(d.CustomData),
		IPXEScriptURL:          d.IPXEScriptURL,
		AlwaysPXE:              d.AlwaysPXE,
		Storage:                d.Storage,
		FirmwareSetID:          d.FirmwareSetID,
		Locked:                 d.Locked,
		NetworkFrozen:          d.NetworkFrozen,
		Project:                &packet.Project{Href: href("projects", d.ProjectID)},
		ProjectLite:            reference("projects", d.ProjectID),
		SSHKeys:                []packet.SSHKey{},
		IPAddresses:            []packet.IPAssignment{},
		NetworkPorts:           devicePorts(s, d),
		BondingMode:            hardware.BondingMode,
		SwitchUUID:             hardware.SwitchID(d.Facility),
		CreatedAt:              packet.NewTimestamp(d.CreatedAt),
		UpdatedAt:              packet.NewTimestamp(d.UpdatedAt),
	}
	if d.HardwareReservationID != "" {
		shown.HardwareReservation = &packet.HardwareReservation{Href: href("hardware-reservations", d.HardwareReservationID)}
	}
	if d.Description != "" {
		shown.Description = &d.Description
	}
	if d.SpotInstance {
		shown.SpotInstance, shown.SpotPriceMax = true, &d.SpotPriceMax
	}
	if d.TerminationTime != nil {
		shown.TerminationTime = packet.NewTimestamp(*d.TerminationTime)
	}
	if plan, ok := a.catalogue.Plan(d.Plan); ok {
		// Where else the plan is to be had is half of it, and the same every time.
		brief := plan.Plan
		brief.AvailableIn, brief.AvailableInMetros = nil, nil
		shown.Plan = &brief
	}
	if system, ok := a.catalogue.OperatingSystem(d.OperatingSystem); ok {
		brief := system.OperatingSystem
		brief.ProvisionableOn = nil
		shown.OperatingSystem = &brief
		shown.User = system.User
	}
	shown.Metro, _ = a.catalogue.Metro(d.Metro)
	shown.Facility, _ = a.catalogue.Facility(d.Facility)
	if row, ok := s.Users.Get(d.CreatedBy); ok {
		shown.CreatedBy = userLite(row.Value)
	}
	for _, step := range steps {
		shown.ProvisioningEvents = append(shown.ProvisioningEvents, provisioningEvent(step))
	}
	for _, action := range lifecycle.Actions(d) {
		shown.Actions = append(shown.Actions, packet.DeviceActionName{Type: action, Name: action})
	}
	for _, id := range d.SSHKeyIDs {
		if _, ok := s.SSHKeys.Get(id); ok {
			shown.SSHKeys = append(shown.SSHKeys, packet.SSHKey{Href: href("ssh-keys", id)})
		}
	}
	for _, row := range s.AddressesOf(d.ID) {
		shown.IPAddresses = append(shown.IPAddresses, *a.assignment(row.Value))
	}
	return shown
}

func (a *API) assignment(v *store.Assignment) *packet.IPAssignment {
	shown := &packet.IPAssignment{
		ID:            v.ID,
		Href:          href("ips", v.ID),
		Type:          packet.IPTypeAssignment,
		Address:       v.Address.String(),
		Network:       v.Block.Addr().String(),
		Netmask:       addresses.Netmask(v.Block),
		Gateway:       v.Gateway.String(),
		CIDR:          v.Block.Bits(),
		AddressFamily: family(v.Block),
		Public:        v.Public,
		Management:    v.Management,
		Manageable:    true,
		GlobalIP:      v.Global,
		Enabled:       true,
		AssignedTo:    reference("devices", v.DeviceID),
		ParentBlock:   &packet.ParentBlock{Href: href("ips", v.ReservationID)},
		CreatedAt:     packet.NewTimestamp(v.CreatedAt),
	}
	if v.MetalGatewayID != "" {
		shown.AssignedTo = reference("metal-gateways", v.MetalGatewayID)
		shown.NextHop, shown.State = v.NextHop.String(), packet.IPAssignmentActive
	}
	shown.Metro, _ = a.catalogue.Metro(v.Metro)
	return shown
}

// reservation has the keys of its closed schema and no other. Without a block
// it has no addresses to show.
func (a *API) reservation(s *store.Snapshot, v *store.Reservation) *packet.IPReservation {
	shown := &packet.IPReservation{
		ID:            v.ID,
		Href:          href("ips", v.ID),
		Type:          v.Type,
		State:         reservationState(v),
		AddressFamily: 4,
		Public:        v.Type != packet.IPTypePrivateIPv4,
		Management:    v.Management,
		Manageable:    !v.Management,
		GlobalIP:      v.Type == packet.IPTypeGlobalIPv4,
		Enabled:       v.Block.IsValid(),
		Addon:         !v.Management,
		Bill:          !v.Management && v.Block.IsValid(),
		Available:     href("ips", v.ID) + "/available",
		Tags:          orEmpty(v.Tags),
		CustomData:    orObject(v.CustomData),
		Assignments:   []packet.IPAssignment{},
		Project:       &packet.Project{Href: href("projects", v.ProjectID)},
		ProjectLite:   reference("projects", v.ProjectID),
		CreatedAt:     packet.NewTimestamp(v.CreatedAt),
	}
	if v.Type == packet.IPTypePublicIPv6 {
		shown.AddressFamily = 6
	}
	if v.Block.IsValid() {
		host, gateway := addresses.Host(v.Block)
		shown.Address, shown.Gateway = host.String(), gateway.String()
		shown.Network, shown.Netmask = v.Block.Addr().String(), addresses.Netmask(v.Block)
		shown.CIDR = v.Block.Bits()
	}
	if v.Details != "" {
		shown.Details = &v.Details
	}
	if v.CreatedBy != "" {
		shown.RequestedBy = reference("users", v.CreatedBy)
	}
	shown.Metro, _ = a.catalogue.Metro(v.Metro)
	shown.Facility, _ = a.catalogue.Facility(v.Facility)
	shown.MetalGateway = gatewayOf(s, v.ID)
	for _, row := range s.Assignments.In(store.OfReservation(v.ID)) {
		shown.Assignments = append(shown.Assignments, packet.IPAssignment{Href: href("ips", row.Value.ID)})
	}
	return shown
}

func provisioningEvent(step lifecycle.Step) packet.Event {
	if step.Event == nil {
		return packet.Event{Type: step.Type, Body: step.Text, Interpolated: step.Text}
	}
	return *event(step.Event)
}

func event(v *store.Event) *packet.Event {
	return &packet.Event{
		ID:            v.ID,
		Href:          href("events", v.ID),
		Type:          v.Type,
		Body:          v.Body,
		State:         v.State,
		Interpolated:  v.Body,
		Relationships: []packet.Href{{Href: href("devices", v.DeviceID)}},
		CreatedAt:     packet.NewTimestamp(v.CreatedAt),
	}
}

func family(block netip.Prefix) int {
	if block.Addr().Is6() {
		return 6
	}
	return 4
}

// orEmpty makes a list of nil, which would be null on the wire.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func orObject(data json.RawMessage) json.RawMessage {
	if len(data) == 0 {
		return json.RawMessage(`{}`)
	}
	return data
}
