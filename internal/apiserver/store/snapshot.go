package store

import (
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// root is where the store begins in etcd, so that it can share one. The
// number is the version of the records' format.
const root = "/packetyard/v1/"

// Snapshot is all records as of one revision. It is valid only inside the
// function that it was passed to.
type Snapshot struct {
	Organizations Table[Organization]
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

	tables map[string]table
	// touched collects the devices that a change was about.
	touched map[string]struct{}
}

// table is what the index needs of a Table of any kind.
type table interface {
	reset()
	apply(mvccpb.Event_EventType, *mvccpb.KeyValue) error
}

// InProject names the group of the records that a project owns: devices,
// reservations, SSH keys, BGP sessions.
func InProject(id string) string { return "project/" + id }

// OfDevice names the group of the records that belong to a device: events,
// assignments, BGP sessions.
func OfDevice(id string) string { return "device/" + id }

// OfUser names the group of a user's SSH keys and tokens.
func OfUser(id string) string { return "user/" + id }

// OfReservation names the group of the assignments out of a reservation.
func OfReservation(id string) string { return "reservation/" + id }

// WithAddress names the group of the assignments that have an address; it has
// at most one.
func WithAddress(address string) string { return "address/" + address }

// ManagementBlocks names the group of the reservations out of which the
// devices of a project get addresses of one type in one metro.
func ManagementBlocks(projectID, metro, kind string) string {
	return "management/" + projectID + "/" + metro + "/" + kind
}

func newSnapshot() *Snapshot {
	s := &Snapshot{tables: map[string]table{}, touched: map[string]struct{}{}}

	touchDevice := func(id string) {
		s.Devices.forget(id)
		s.touched[id] = struct{}{}
	}

	register(s, &s.Organizations, "organizations/", Table[Organization]{
		id: func(v *Organization) string { return v.ID },
	})
	register(s, &s.Users, "users/", Table[User]{
		id: func(v *User) string { return v.ID },
	})
	register(s, &s.Tokens, "tokens/", Table[Token]{
		id:     func(v *Token) string { return v.Hash },
		groups: func(v *Token) []string { return []string{OfUser(v.UserID)} },
	})
	register(s, &s.Projects, "projects/", Table[Project]{
		id: func(v *Project) string { return v.ID },
	})
	register(s, &s.SSHKeys, "ssh-keys/", Table[SSHKey]{
		id: func(v *SSHKey) string { return v.ID },
		groups: func(v *SSHKey) []string {
			if v.ProjectID == "" {
				return []string{OfUser(v.UserID)}
			}
			return []string{InProject(v.ProjectID)}
		},
	})
	register(s, &s.Devices, "devices/", Table[Device]{
		id:      func(v *Device) string { return v.ID },
		groups:  func(v *Device) []string { return []string{InProject(v.ProjectID)} },
		changed: func(v *Device) { touchDevice(v.ID) },
	})
	register(s, &s.Events, "events/", Table[Event]{
		key:     func(v *Event) string { return v.DeviceID + "/" + v.ID },
		id:      func(v *Event) string { return v.ID },
		groups:  func(v *Event) []string { return []string{OfDevice(v.DeviceID)} },
		changed: func(v *Event) { touchDevice(v.DeviceID) },
	})
	register(s, &s.Reservations, "reservations/", Table[Reservation]{
		key: func(v *Reservation) string { return blockKey(v.Block) },
		id:  func(v *Reservation) string { return v.ID },
		groups: func(v *Reservation) []string {
			groups := []string{InProject(v.ProjectID)}
			if v.Management {
				groups = append(groups, ManagementBlocks(v.ProjectID, v.Metro, v.Type))
			}
			return groups
		},
	})
	register(s, &s.Assignments, "assignments/", Table[Assignment]{
		key: func(v *Assignment) string { return blockKey(v.Block) },
		id:  func(v *Assignment) string { return v.ID },
		groups: func(v *Assignment) []string {
			return []string{OfDevice(v.DeviceID), OfReservation(v.ReservationID), WithAddress(v.Address.String())}
		},
		changed: func(v *Assignment) {
			touchDevice(v.DeviceID)
			s.Reservations.forget(v.ReservationID)
		},
	})
	register(s, &s.BGPConfigs, "bgp-configs/", Table[BGPConfig]{
		id: func(v *BGPConfig) string { return v.ProjectID },
	})
	register(s, &s.BGPSessions, "bgp-sessions/", Table[BGPSession]{
		key:    func(v *BGPSession) string { return v.DeviceID + "/" + v.AddressFamily },
		id:     func(v *BGPSession) string { return v.ID },
		groups: func(v *BGPSession) []string { return []string{OfDevice(v.DeviceID), InProject(v.ProjectID)} },
	})
	return s
}

// register puts a table in its place. A table that does not say otherwise is
// keyed by ID, has no groups, and nobody cares when it changes.
func register[T any](s *Snapshot, at *Table[T], name string, definition Table[T]) {
	definition.prefix = root + name
	if definition.key == nil {
		definition.key = definition.id
	}
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
