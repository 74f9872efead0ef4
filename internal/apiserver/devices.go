package apiserver

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func deviceRoutes() []Route {
	return []Route{
		{http.MethodGet, "/projects/{id}/devices", "findProjectDevices", (*API).listProjectDevices, ofProject},
		{http.MethodPost, "/projects/{id}/devices", "createDevice", (*API).createDevice, ofProject},
		{http.MethodGet, "/devices/{id}", "findDeviceById", (*API).getDevice, ofDevice},
		{http.MethodPut, "/devices/{id}", "updateDevice", (*API).updateDevice, ofDevice},
		{http.MethodDelete, "/devices/{id}", "deleteDevice", (*API).deleteDevice, ofDevice},
		{http.MethodPost, "/devices/{id}/actions", "performAction", (*API).performAction, ofDevice},
	}
}

func (a *API) getDevice(r *request) (response, error) {
	return a.answerDevice(r, http.StatusOK, r.id())
}

// answerDevice shows a device as the request selects it.
func (a *API) answerDevice(r *request, status int, id string) (response, error) {
	return answerRow(a, r, status, devices, id, a.encodeDevice)
}

func (a *API) listProjectDevices(r *request) (response, error) {
	filter := a.deviceFilterOf(r.query)
	return answerPage(a, r, "devices", defaultPerPage, func(s *store.Snapshot) []*store.Row[store.Device] {
		return filter.choose(s, s.Devices.In(store.InProject(r.id())))
	}, a.encodeDevice)
}

func (a *API) updateDevice(r *request) (response, error) {
	var input packet.DeviceUpdate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	var p problems
	if input.Hostname != nil {
		p.hostname(*input.Hostname)
	}
	if input.Userdata != nil {
		p.userdata(*input.Userdata)
	}
	if input.BillingCycle != nil {
		p.unless("billing_cycle", *input.BillingCycle, billingCycles()...)
	}
	if input.SpotInstance != nil && *input.SpotInstance {
		p.add("spot_instance true is not possible: a device is bought on the spot market when it is created")
	}
	if input.IPXEScriptURL != nil {
		p.scriptURL(*input.IPXEScriptURL)
	}
	p.customData(input.CustomData)
	if err := p.err(); err != nil {
		return response{}, err
	}

	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.Devices.Get(r.id())
		if !ok {
			return errNotFound()
		}
		if input.FirmwareSetID != nil {
			if err := a.firmwareSet(*input.FirmwareSetID, row.Value.Plan); err != nil {
				return err
			}
		}
		device := *row.Value
		set(&device.Hostname, input.Hostname)
		set(&device.Description, input.Description)
		set(&device.BillingCycle, input.BillingCycle)
		set(&device.Tags, input.Tags)
		set(&device.Userdata, input.Userdata)
		set(&device.IPXEScriptURL, input.IPXEScriptURL)
		set(&device.AlwaysPXE, input.AlwaysPXE)
		set(&device.Locked, input.Locked)
		set(&device.NetworkFrozen, input.NetworkFrozen)
		set(&device.FirmwareSetID, input.FirmwareSetID)
		if input.CustomData != nil {
			device.CustomData = objectOnly(input.CustomData)
		}
		device.UpdatedAt = a.clock.Now()
		tx.Devices.Update(tx, row, &device)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return a.answerDevice(r, http.StatusOK, r.id())
}

// set changes what a request names.
func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func (a *API) deleteDevice(r *request) (response, error) {
	force := r.query.Get("force_delete")
	var p problems
	p.unless("force_delete", force, "true", "false")
	if err := p.err(); err != nil {
		return response{}, err
	}
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.Devices.Get(r.id())
		if !ok {
			return errNotFound()
		}
		switch state := row.Value.State; {
		case row.Value.Locked:
			return refuse(http.StatusUnprocessableEntity, "Cannot delete a device while it is locked")
		case force == "true":
		case state == packet.StateQueued, state == packet.StateProvisioning, state == packet.StateReinstalling:
			return refuse(http.StatusUnprocessableEntity, "Cannot delete a device while it is provisioning")
		}
		lifecycle.Remove(tx, row, a.clock.Now())
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return noContent()
}

// objectOnly is what is kept of data that the API documents as an object: old
// clients send strings where objects belong, for none, and must not get them
// back where others expect an object.
func objectOnly(data json.RawMessage) json.RawMessage {
	if !strings.HasPrefix(strings.TrimSpace(string(data)), "{") {
		return nil
	}
	return data
}

// customData refuses what is no object, but for the empty string, which old
// clients send for none.
func (p *problems) customData(data json.RawMessage) {
	text := strings.TrimSpace(string(data))
	if text != "" && text != `""` && text != "null" && text[0] != '{' && text[0] != '"' {
		p.add("customdata must be a JSON object, not %s", text[:min(len(text), 40)])
	}
}
