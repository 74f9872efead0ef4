package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/internal/apiserver/metadata"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func deviceDetailRoutes() []Route {
	return slices.Concat([]Route{
		{http.MethodGet, "/devices/{id}/customdata", "findDeviceCustomdata", (*API).deviceCustomdata, ofDevice},
		{http.MethodGet, "/devices/{id}/userdata", "findDeviceUserdataByID", (*API).deviceUserdata, ofDevice},
		{http.MethodGet, "/devices/{id}/metadata", "findDeviceMetadataByID", (*API).deviceMetadata, ofDevice},
		{http.MethodGet, "/devices/{id}/ssh-keys", "findDeviceSSHKeys", (*API).deviceSSHKeys, ofDevice},
		{http.MethodGet, "/devices/{id}/diagnostics/health/rollup", "getDeviceHealthRollup", (*API).deviceHealth, ofDevice},
	}, firmwareSetRoutes())
}

// answerOf answers with what show makes of the device of a request.
func (a *API) answerOf(r *request, show func(*store.Snapshot, *store.Device) ([]byte, error)) (answer response, err error) {
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		row, ok := s.Devices.Get(r.id())
		if !ok {
			return errNotFound()
		}
		body, err := show(s, row.Value)
		answer = response{status: http.StatusOK, body: body}
		return err
	})
	return answer, err
}

func (a *API) deviceCustomdata(r *request) (response, error) {
	return a.answerOf(r, func(_ *store.Snapshot, d *store.Device) ([]byte, error) { return orObject(d.CustomData), nil })
}

func (a *API) deviceUserdata(r *request) (response, error) {
	return a.answerOf(r, func(_ *store.Snapshot, d *store.Device) ([]byte, error) {
		return json.Marshal(map[string]string{"userdata": d.Userdata})
	})
}

// deviceMetadata shows what the metadata service tells the device, but for
// the network, of which the API's document has another form: addresses are
// bare, and the bond is one level further down.
func (a *API) deviceMetadata(r *request) (response, error) {
	return a.answerOf(r, func(s *store.Snapshot, d *store.Device) ([]byte, error) {
		document, err := metadata.Document(s, a.catalogue, d, metadataURL)
		if err != nil {
			return nil, err
		}
		var told map[string]json.RawMessage
		var network struct {
			Bonding    json.RawMessage `json:"bonding"`
			Interfaces json.RawMessage `json:"interfaces"`
			Addresses  []struct {
				Address string `json:"address"`
			} `json:"addresses"`
		}
		if err := json.Unmarshal(document, &told); err != nil {
			return nil, fmt.Errorf("reading the metadata of a device: %w", err)
		}
		if err := json.Unmarshal(told["network"], &network); err != nil {
			return nil, fmt.Errorf("reading the network of a device: %w", err)
		}
		bare := make([]string, 0, len(network.Addresses))
		for _, address := range network.Addresses {
			bare = append(bare, address.Address)
		}
		told["network"], err = json.Marshal(map[string]any{
			"addresses":  bare,
			"interfaces": network.Interfaces,
			"network":    map[string]any{"bonding": network.Bonding},
		})
		if err != nil {
			return nil, fmt.Errorf("writing the network of a device: %w", err)
		}
		return json.Marshal(told)
	})
}

// metadataURL is where devices find the metadata service.
const metadataURL = "http://metadata.packet.net"

// deviceSSHKeys lists the keys that a device lets in. The document calls the
// filter "Search string".
func (a *API) deviceSSHKeys(r *request) (response, error) {
	text := r.query.Get("Search string")
	if text == "" {
		text = r.query.Get("search")
	}
	return answerAll(a, r, "ssh_keys", func(s *store.Snapshot) []*store.Row[store.SSHKey] {
		row, ok := s.Devices.Get(r.id())
		if !ok {
			return nil
		}
		var keys []*store.Row[store.SSHKey]
		for _, id := range row.Value.SSHKeyIDs {
			key, ok := s.SSHKeys.Get(id)
			if ok && strings.Contains(key.Value.Label+"\n"+key.Value.Key+"\n"+key.Value.Fingerprint, text) {
				keys = append(keys, key)
			}
		}
		return keys
	}, plain(sshKey))
}

// deviceHealth is worse than ok for what failed: nobody measures more.
func (a *API) deviceHealth(r *request) (response, error) {
	return a.answerOf(r, func(_ *store.Snapshot, d *store.Device) ([]byte, error) {
		health := packet.DeviceHealth{Rollup: packet.HealthOK, UpdatedAt: packet.NewTimestamp(d.UpdatedAt)}
		switch d.State {
		case packet.StateFailed:
			health.Rollup = packet.HealthCritical
		case packet.StateInactive:
			health.Rollup = packet.HealthWarning
		}
		return json.Marshal(health)
	})
}
