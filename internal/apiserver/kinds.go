package apiserver

import (
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// kind is what is needed of one kind of object to show it in place of a
// reference.
type kind struct {
	of subject
	// encode is the object as the API shows it, nil for none.
	encode func(s *store.Snapshot, id string) ([]byte, error)
}

// kinds are the objects that have references of their own, by the part of
// the reference before the ID.
func (a *API) kinds() map[string]kind {
	return map[string]kind{
		"devices":               {ofDevice, encoded(devices, a.encodeDevice)},
		"ips":                   {ofAddress, a.encodeAddress},
		"projects":              {ofProject, encoded(projects, a.encodeProject)},
		"organizations":         {ofOrganization, encoded(organizations, a.encodeOrganization)},
		"users":                 {ofUser, encoded(users, plain(user))},
		"ssh-keys":              {ofSSHKey, encoded(sshKeys, plain(sshKey))},
		"bgp/sessions":          {ofBGPSession, encoded(bgpSessions, plain(bgpSession))},
		"hardware-reservations": {ofHardwareReservation, encoded(hardwareReservations, a.encodeHardwareReservation)},
		"batches":               {ofBatch, encoded(batches, encodeBatch)},
		"spot-market-requests":  {ofSpotMarketRequest, encoded(spotMarketRequests, a.encodeSpotMarketRequest)},
		"events":                {ofEvent, encodeEvent},
		"virtual-networks":      {ofVirtualNetwork, encoded(virtualNetworks, a.encodeVirtualNetwork)},
		"ports":                 {ofPort, encodePort},
		"metal-gateways":        {ofMetalGateway, encoded(metalGateways, a.encodeMetalGateway)},
		"vrfs":                  {ofVRF, encoded(vrfs, a.encodeVRF)},
		"routes":                {ofVRFRoute, encoded(vrfRoutesTable, plain(vrfRoute))},
		"bgp-dynamic-neighbors": {ofDynamicNeighbor, encoded(dynamicNeighbors, encodeDynamicNeighbor)},
	}
}

func devices(s *store.Snapshot) *store.Table[store.Device]             { return &s.Devices }
func projects(s *store.Snapshot) *store.Table[store.Project]           { return &s.Projects }
func organizations(s *store.Snapshot) *store.Table[store.Organization] { return &s.Organizations }
func users(s *store.Snapshot) *store.Table[store.User]                 { return &s.Users }
func sshKeys(s *store.Snapshot) *store.Table[store.SSHKey]             { return &s.SSHKeys }
func bgpSessions(s *store.Snapshot) *store.Table[store.BGPSession]     { return &s.BGPSessions }

// encoder makes the API's form of a record, or finds it where it was made
// before.
type encoder[T any] func(*store.Snapshot, *store.Row[T]) ([]byte, error)

// plain is the encoder for records that need no other to be shown.
func plain[T, V any](render func(*T) V) encoder[T] {
	return func(_ *store.Snapshot, row *store.Row[T]) ([]byte, error) { return encodeRow(row, render) }
}

// encoded finds a record in a table and encodes it.
func encoded[T any](table func(*store.Snapshot) *store.Table[T], encode encoder[T]) func(*store.Snapshot, string) ([]byte, error) {
	return func(s *store.Snapshot, id string) ([]byte, error) {
		row, ok := table(s).Get(id)
		if !ok {
			return nil, nil
		}
		return encode(s, row)
	}
}

func encodeEvent(s *store.Snapshot, id string) ([]byte, error) {
	row, ok := lifecycle.FindEvent(s, id)
	if !ok {
		return nil, nil
	}
	return encodeRow(row, event)
}

func (a *API) encodeAddress(s *store.Snapshot, id string) ([]byte, error) {
	if row, ok := s.Reservations.Get(id); ok {
		return a.encodeReservation(s, row)
	}
	if row, ok := s.Assignments.Get(id); ok {
		return a.encodeAssignment(s, row)
	}
	return nil, nil
}
