package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func spotRoutes() []Route {
	return []Route{
		{http.MethodGet, "/market/spot/prices", "findSpotMarketPrices", (*API).listFacilityPrices, nil},
		{http.MethodGet, "/market/spot/prices/metros", "findMetroSpotMarketPrices", (*API).listMetroPrices, nil},
		{http.MethodGet, "/market/spot/prices/history", "findSpotMarketPricesHistory", (*API).listPriceHistory, nil},
		{http.MethodGet, "/projects/{id}/spot-market-requests", "listSpotMarketRequests", (*API).listSpotMarketRequests, ofProject},
		{http.MethodPost, "/projects/{id}/spot-market-requests", "createSpotMarketRequest", (*API).createSpotMarketRequest, ofProject},
		{http.MethodGet, "/spot-market-requests/{id}", "findSpotMarketRequestById", (*API).getSpotMarketRequest, ofSpotMarketRequest},
		{http.MethodDelete, "/spot-market-requests/{id}", "deleteSpotMarketRequest", (*API).deleteSpotMarketRequest, ofSpotMarketRequest},
	}
}

func ofSpotMarketRequest(s *store.Snapshot, id string) (owner, bool) {
	row, ok := s.SpotMarketRequests.Get(id)
	if !ok {
		return owner{}, false
	}
	return owner{project: row.Value.ProjectID}, true
}

func spotMarketRequests(s *store.Snapshot) *store.Table[store.SpotMarketRequest] {
	return &s.SpotMarketRequests
}

func (a *API) listSpotMarketRequests(r *request) (response, error) {
	return answerAll(a, r, "spot_market_requests", func(s *store.Snapshot) []*store.Row[store.SpotMarketRequest] {
		return s.SpotMarketRequests.In(store.InProject(r.id()))
	}, a.encodeSpotMarketRequest)
}

func (a *API) getSpotMarketRequest(r *request) (response, error) {
	return answerRow(a, r, http.StatusOK, spotMarketRequests, r.id(), a.encodeSpotMarketRequest)
}

// deleteSpotMarketRequest takes a bid back, and its devices if they are to go
// too. Those go first, so that whoever asks again after a failure finishes
// what was begun; the bid makes no others in the meantime.
func (a *API) deleteSpotMarketRequest(r *request) (response, error) {
	force, err := forceTermination(r)
	if err != nil {
		return response{}, err
	}
	for done := false; !done; {
		err := a.store.Update(r.ctx, func(tx *store.Tx) error {
			row, ok := tx.SpotMarketRequests.Get(r.id())
			if !ok {
				return errNotFound()
			}
			done = true
			if force {
				var err error
				if done, err = a.removeDevices(tx, row.Value.DeviceIDs); err != nil {
					return err
				}
			}
			if done {
				tx.SpotMarketRequests.Delete(tx, row)
				return nil
			}
			ending := *row.Value
			ending.DevicesMax = len(ending.DeviceIDs)
			tx.SpotMarketRequests.Update(tx, row, &ending)
			return nil
		})
		if err != nil {
			return response{}, err
		}
	}
	return noContent()
}

// forceTermination reads whether devices go with their bid: from the query,
// as the document has it, or from a body, as packngo sends it.
func forceTermination(r *request) (bool, error) {
	value := r.query.Get("force_termination")
	var p problems
	p.unless("force_termination", value, "true", "false")
	if err := p.err(); err != nil {
		return false, err
	}
	var input struct {
		ForceTermination bool `json:"force_termination"`
	}
	if r.http.ContentLength != 0 && r.http.Body != http.NoBody {
		if err := r.decode(&input); err != nil {
			return false, err
		}
	}
	return value == "true" || input.ForceTermination, nil
}

// encodeSpotMarketRequest shows a bid with those of its devices that there
// are still.
func (a *API) encodeSpotMarketRequest(s *store.Snapshot, row *store.Row[store.SpotMarketRequest]) ([]byte, error) {
	v := row.Value
	shown := packet.SpotMarketRequest{
		ID:          v.ID,
		Href:        href("spot-market-requests", v.ID),
		DevicesMin:  v.DevicesMin,
		DevicesMax:  v.DevicesMax,
		MaxBidPrice: v.MaxBidPrice,
		Instances:   &packet.Href{Href: href("spot-market-requests", v.ID) + "?include=devices"},
		Devices:     []packet.Href{},
		Project:     reference("projects", v.ProjectID),
		CreatedAt:   packet.NewTimestamp(v.CreatedAt),
	}
	if v.EndAt != nil {
		shown.EndAt = packet.NewTimestamp(*v.EndAt)
	}
	shown.Metro, _ = a.metro(v.Order.Metro)
	if plan, ok := a.catalogue.Plan(v.Order.Plan); ok {
		brief := plan.Plan
		brief.AvailableIn, brief.AvailableInMetros = nil, nil
		shown.Plan = &brief
	}
	for _, id := range v.DeviceIDs {
		if _, ok := s.Devices.Get(id); ok {
			shown.Devices = append(shown.Devices, *reference("devices", id))
		}
	}
	return json.Marshal(shown)
}

// spotTime is a time whose error says which field it is of.
type spotTime struct{ packet.Timestamp }

// UnmarshalJSON implements json.Unmarshaler.
func (t *spotTime) UnmarshalJSON(data []byte) error {
	if err := t.Timestamp.UnmarshalJSON(data); err != nil {
		return fmt.Errorf("end_at: %w", err)
	}
	return nil
}
