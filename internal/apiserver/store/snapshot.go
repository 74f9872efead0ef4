package store

import "strings"

// Snapshot is all records as of one revision. It is valid only inside the
// function that it was passed to.
type Snapshot struct {
	Organizations Table[Organization]
	Contents      Table[Contents]
	Users         Table[User]
	Tokens        Table[Token]
	Projects      Table[Project]
	SSHKeys       Table[SSHKey]
	Devices       Table[Device]
	Events        Table[Event]
	Reservations  Table[Reservation]
	Assignments   Table[Assignment]
	BGPConfigs    Table[BGPConfig]
	BGPSessions   Table[BGPSession]
	BGPRanges     Table[BGPRange]

	Capacities           Table[Capacity]
	CapacityClaims       Table[CapacityClaim]
	HardwareReservations Table[HardwareReservation]
	Batches              Table[Batch]
	SpotMarketRequests   Table[SpotMarketRequest]

	VirtualNetworks  Table[VirtualNetwork]
	DevicePorts      Table[DevicePorts]
	VLANBatches      Table[VLANBatch]
	MetalGateways    Table[MetalGateway]
	DynamicNeighbors Table[DynamicNeighbor]
	VRFs             Table[VRF]
	VRFRoutes        Table[VRFRoute]

	tables map[string]table
	// under is the index that this is an overlay of, nil for the index itself.
	under     *Snapshot
	encodings *encodings
	// touched collects the devices that a change was about.
	touched map[string]struct{}
	// bgpChanged is set by a change that those of WatchBGP are told of.
	bgpChanged bool
}

// InProject names the group of the records that a project owns: devices,
// reservations, SSH keys, BGP sessions.
func InProject(id string) string { return "project/" + id }

// OfDevice names the group of the records that belong to a device: events,
// assignments, BGP sessions.
func OfDevice(id string) string { return "device/" + id }

// OfUser names the group of a user's SSH keys and tokens.
func OfUser(id string) string { return "user/" + id }

// WithTokenID names the group of the one token that has an ID. Tokens are
// found by their hashes otherwise.
func WithTokenID(id string) string { return "token/" + id }

// CreatedBy names the group of the devices that a user ordered.
func CreatedBy(userID string) string { return "created-by/" + userID }

// WithSSHKey names the group of the devices that let a key in.
func WithSSHKey(id string) string { return "ssh-key/" + id }

// OfReservation names the group of the assignments out of a reservation.
func OfReservation(id string) string { return "reservation/" + id }

// WithAddress names the group of the assignments that have an address: at
// most one, or one in each metro if the address is global.
func WithAddress(address string) string { return "address/" + address }

// ManagementBlocks names the group of the reservations out of which the
// devices of a project get addresses of one type in one metro.
func ManagementBlocks(projectID, metro, kind string) string {
	return "management/" + projectID + "/" + metro + "/" + kind
}

func newSnapshot() *Snapshot {
	s := &Snapshot{tables: map[string]table{}, encodings: &encodings{limit: encodingsLimit}, touched: map[string]struct{}{}}

	touchDevice := func(id string) {
		s.Devices.forget(id)
		s.touched[id] = struct{}{}
	}

	register(s, &s.Organizations, "organizations/", Table[Organization]{
		id: func(v *Organization) string { return v.ID },
	})
	register(s, &s.Users, "users/", Table[User]{
		id: func(v *User) string { return v.ID },
		changed: func(v *User) {
			// A device shows who made it.
			for _, row := range s.Devices.In(CreatedBy(v.ID)) {
				s.Devices.forget(row.Value.ID)
			}
		},
	})
	register(s, &s.Tokens, "tokens/", Table[Token]{
		id: func(v *Token) string { return v.Hash },
		groups: func(v *Token) []string {
			if v.ProjectID == "" {
				return []string{WithTokenID(v.ID), OfUser(v.UserID)}
			}
			return []string{WithTokenID(v.ID), InProject(v.ProjectID)}
		},
	})
	register(s, &s.Projects, "projects/", Table[Project]{
		id:     func(v *Project) string { return v.ID },
		groups: func(v *Project) []string { return []string{InOrganization(v.OrganizationID)} },
	})
	register(s, &s.SSHKeys, "ssh-keys/", Table[SSHKey]{
		id: func(v *SSHKey) string { return v.ID },
		groups: func(v *SSHKey) []string {
			if v.ProjectID == "" {
				return []string{OfUser(v.UserID)}
			}
			return []string{InProject(v.ProjectID)}
		},
		changed: func(v *SSHKey) {
			for _, row := range s.Devices.In(WithSSHKey(v.ID)) {
				s.Devices.forget(row.Value.ID)
			}
		},
	})
	register(s, &s.Devices, "devices/", Table[Device]{
		id: func(v *Device) string { return v.ID },
		groups: func(v *Device) []string {
			groups := []string{InProject(v.ProjectID), CreatedBy(v.CreatedBy)}
			for _, id := range v.SSHKeyIDs {
				groups = append(groups, WithSSHKey(id))
			}
			if v.HardwareReservationID == "" {
				groups = append(groups, OnDemand(v.Plan, v.Metro))
			}
			if v.SpotInstance {
				groups = append(groups, OnSpotMarket)
			}
			return groups
		},
		changed: func(v *Device) { touchDevice(v.ID) },
		handle:  func(v *Device) uint64 { return deviceHandle(v.ID) },
		compact: compactDevice,
	})
	register(s, &s.Events, "events/", Table[Event]{
		key:     func(v *Event) string { return v.DeviceID + "/" + v.ID },
		id:      func(v *Event) string { return v.ID },
		groups:  func(v *Event) []string { return []string{OfDevice(v.DeviceID)} },
		changed: func(v *Event) { touchDevice(v.DeviceID) },
	})
	register(s, &s.Reservations, "reservations/", Table[Reservation]{
		key:     reservationKey,
		compact: compactReservation,
		id:      func(v *Reservation) string { return v.ID },
		groups: func(v *Reservation) []string {
			groups := []string{InProject(v.ProjectID)}
			if v.Management {
				groups = append(groups, ManagementBlocks(v.ProjectID, v.Metro, v.Type))
			}
			if v.VRFID != "" {
				groups = append(groups, OfVRF(v.VRFID))
			}
			return groups
		},
		changed: func(v *Reservation) {
			s.MetalGateways.forgetKey(v.ID)
			s.bgpChanged = true
		},
	})
	register(s, &s.Assignments, "assignments/", Table[Assignment]{
		key:     assignmentKey,
		compact: compactAssignment,
		adopt:   s.adoptIDs,
		id:      func(v *Assignment) string { return v.ID },
		groups: func(v *Assignment) []string {
			holder := OfDevice(v.DeviceID)
			if v.MetalGatewayID != "" {
				holder = OfMetalGateway(v.MetalGatewayID)
			}
			return []string{holder, OfReservation(v.ReservationID), WithAddress(v.Address.String())}
		},
		changed: func(v *Assignment) {
			if v.DeviceID != "" {
				touchDevice(v.DeviceID)
			}
			s.Reservations.forget(v.ReservationID)
			s.MetalGateways.forgetKey(v.ReservationID)
		},
	})
	register(s, &s.BGPConfigs, "bgp-configs/", Table[BGPConfig]{
		id:      func(v *BGPConfig) string { return v.ProjectID },
		groups:  func(v *BGPConfig) []string { return []string{InProject(v.ProjectID)} },
		changed: func(*BGPConfig) { s.bgpChanged = true },
	})
	register(s, &s.BGPSessions, "bgp-sessions/", Table[BGPSession]{
		key:     func(v *BGPSession) string { return v.DeviceID + "/" + v.AddressFamily },
		id:      func(v *BGPSession) string { return v.ID },
		groups:  func(v *BGPSession) []string { return []string{OfDevice(v.DeviceID), InProject(v.ProjectID)} },
		changed: func(*BGPSession) { s.bgpChanged = true },
	})
	register(s, &s.BGPRanges, "bgp-ranges/", Table[BGPRange]{
		key:     func(v *BGPRange) string { return blockKey(v.Range) },
		id:      func(v *BGPRange) string { return v.ID },
		groups:  func(v *BGPRange) []string { return []string{InProject(v.ProjectID)} },
		changed: func(*BGPRange) { s.bgpChanged = true },
	})
	register(s, &s.Capacities, "capacities/", Table[Capacity]{
		id: func(v *Capacity) string { return CapacityID(v.Plan, v.Metro) },
	})
	register(s, &s.CapacityClaims, "capacity-claims/", Table[CapacityClaim]{
		id: func(v *CapacityClaim) string { return CapacityID(v.Plan, v.Metro) },
	})
	register(s, &s.HardwareReservations, "hardware-reservations/", Table[HardwareReservation]{
		id:     func(v *HardwareReservation) string { return v.ID },
		groups: func(v *HardwareReservation) []string { return []string{InProject(v.ProjectID)} },
	})
	register(s, &s.Batches, "batches/", Table[Batch]{
		id:     func(v *Batch) string { return v.ID },
		groups: func(v *Batch) []string { return []string{InProject(v.ProjectID)} },
	})
	s.registerContents()
	s.registerSpotMarketRequests()
	s.registerVirtualNetworks()
	s.registerPorts(touchDevice)
	s.registerMetalGateways()
	s.registerVRFs()
	return s
}

// register puts a table in its place. A table that does not say otherwise is
// keyed by ID, has no groups, and nobody cares when it changes.
func register[T any](s *Snapshot, at *Table[T], name string, definition Table[T]) {
	definition.prefix = root + name
	if definition.key == nil {
		definition.key = definition.id
		definition.keyedByID = true
	}
	definition.encodings = s.encodings
	if definition.groups == nil {
		definition.groups = func(*T) []string { return nil }
	}
	if definition.changed == nil {
		definition.changed = func(*T) {}
	}
	*at = definition
	at.reset()
	s.tables[name] = at
}

// newOverlay makes an overlay of an index. It equals the index until
// something is put into it.
func newOverlay(under *Snapshot) *Snapshot {
	s := newSnapshot()
	s.under = under
	for name, table := range s.tables {
		table.over(under.tables[name])
	}
	return s
}

func (s *Snapshot) clearOverlay() {
	for _, table := range s.tables {
		table.clearOverlay()
	}
}

func (s *Snapshot) load(begins bool) {
	for _, table := range s.tables {
		table.load(begins)
	}
}

func (s *Snapshot) tidy() {
	for _, table := range s.tables {
		table.tidy()
	}
}

// tableOf finds the table that an etcd key belongs to, nil for none.
func (s *Snapshot) tableOf(key []byte) table {
	rest, ok := strings.CutPrefix(string(key), root)
	if !ok {
		return nil
	}
	end := strings.IndexByte(rest, '/')
	if end < 0 {
		return nil
	}
	return s.tables[rest[:end+1]]
}
