package apiserver

import (
	"net/http"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func firmwareSetRoutes() []Route {
	return []Route{
		{http.MethodGet, "/devices/{id}/firmware-sets", "getDeviceFirmwareSets", (*API).deviceFirmwareSet, ofDevice},
		{http.MethodGet, "/projects/{id}/firmware-sets", "getProjectFirmwareSets", (*API).listFirmwareSets, ofProject},
		{http.MethodGet, "/organizations/{id}/firmware-sets", "getOrganizationFirmwareSets", (*API).listFirmwareSets, ofOrganization},
	}
}

// deviceFirmwareSet shows the set that was chosen for a device, or else its
// plan's.
func (a *API) deviceFirmwareSet(r *request) (response, error) {
	var device store.Device
	err := a.store.Read(r.ctx, func(s *store.Snapshot) error {
		row, ok := s.Devices.Get(r.id())
		if !ok {
			return errNotFound()
		}
		device = *row.Value
		return nil
	})
	if err != nil {
		return response{}, err
	}
	set, ok := a.catalogue.FirmwareSet(device.FirmwareSetID, device.Plan)
	if !ok {
		if set, ok = a.catalogue.DefaultFirmwareSet(device.Plan); !ok {
			return response{}, errNotFound()
		}
	}
	return encode(http.StatusOK, packet.FirmwareSetResponse{Record: set})
}

// listFirmwareSets shows a page of the sets, which are the same for all.
func (a *API) listFirmwareSets(r *request) (response, error) {
	page, err := r.paging(defaultPerPage)
	if err != nil {
		return response{}, err
	}
	sets := a.catalogue.FirmwareSets()
	shown := cut(page, sets)
	return encode(http.StatusOK, packet.FirmwareSetList{
		PageSize:         page.size,
		Page:             page.number,
		PageCount:        len(shown),
		TotalPages:       max((len(sets)+page.size-1)/page.size, 1),
		TotalRecordCount: len(sets),
		Records:          shown,
	})
}

// firmwareSet refuses a set that is not for the plan of a device. The empty
// one stands for the plan's own.
func (a *API) firmwareSet(uuid, plan string) error {
	if uuid == "" {
		return nil
	}
	if _, ok := a.catalogue.FirmwareSet(uuid, plan); ok {
		return nil
	}
	set, _ := a.catalogue.DefaultFirmwareSet(plan)
	return refuse(http.StatusUnprocessableEntity, "firmware_set_id %q is no firmware set for plan %q: there is %s", uuid, plan, set.UUID)
}
