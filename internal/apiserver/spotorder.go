package apiserver

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// maxSpotDevices bounds what one bid may be for.
const maxSpotDevices = 100

// spotInput is the body of createSpotMarketRequest.
type spotInput struct {
	packet.SpotMarketRequestCreate
	EndAt              spotTime       `json:"end_at"`
	InstanceParameters spotParameters `json:"instance_parameters"`
}

type spotParameters struct {
	packet.SpotInstanceParameters
	TerminationTime terminationTime `json:"termination_time"`
}

// createSpotMarketRequest records a bid, and makes the devices at once if it
// is high enough. Whether or not, the bid stands.
func (a *API) createSpotMarketRequest(r *request) (response, error) {
	var input spotInput
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	bid, err := a.bid(r, input)
	if err != nil {
		return response{}, err
	}
	err = a.store.Update(r.ctx, func(tx *store.Tx) error {
		if _, ok := tx.Projects.Get(r.id()); !ok {
			return errNotFound()
		}
		tx.SpotMarketRequests.Create(tx, bid)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	// A client that goes away has bid all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), batchTimeout)
	defer cancel()
	if err := a.fulfil(ctx, bid.ID); err != nil && ctx.Err() == nil {
		return response{}, err
	}
	answer, err := answerRow(a, r, http.StatusCreated, spotMarketRequests, bid.ID, a.encodeSpotMarketRequest)
	answer.location = href("spot-market-requests", bid.ID)
	return answer, err
}

// bid checks a request and makes its record.
func (a *API) bid(r *request, input spotInput) (*store.SpotMarketRequest, error) {
	var p problems
	now := a.clock.Now()
	most := max(input.DevicesMax, input.DevicesMin, 1)
	least := max(input.DevicesMin, 1)
	switch {
	case input.DevicesMin < 0 || input.DevicesMin > maxSpotDevices:
		p.add("devices_min %d is not from 1 to %d", input.DevicesMin, maxSpotDevices)
	case input.DevicesMax < 0 || input.DevicesMax > maxSpotDevices:
		p.add("devices_max %d is not from 1 to %d", input.DevicesMax, maxSpotDevices)
	case input.DevicesMax != 0 && input.DevicesMax < least:
		p.add("devices_max %d is less than devices_min %d", input.DevicesMax, least)
	}
	if !(input.MaxBidPrice > 0) {
		p.add("max_bid_price %v is not above 0", input.MaxBidPrice)
	}
	var endAt *time.Time
	if !input.EndAt.IsZero() {
		endAt = &input.EndAt.Time
		if !endAt.After(now) {
			p.add("end_at %s is not in the future", endAt.Format(time.RFC3339))
		}
	}
	if err := p.err(); err != nil {
		return nil, err
	}

	order := input.InstanceParameters.DeviceCreate
	const field = "instance_parameters."
	hostnames := p.hostnames(field, packet.BatchCreate{
		DeviceCreate: order, Quantity: most, Hostnames: input.InstanceParameters.Hostnames,
	})
	order.Hostname = ""
	order.Metro, order.Facility = input.Metro, a.facilityCodes(input.Facilities)
	order.SpotInstance, order.SpotPriceMax = true, input.MaxBidPrice
	order.TerminationTime = &input.InstanceParameters.TerminationTime.Timestamp
	if endAt != nil && (order.TerminationTime.IsZero() || order.TerminationTime.After(*endAt)) {
		order.TerminationTime = packet.NewTimestamp(*endAt)
	}
	if order.TerminationTime.IsZero() {
		order.TerminationTime = nil
	}
	_, err := a.order(order)
	if err := p.within(field, err); err != nil {
		return nil, err
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return &store.SpotMarketRequest{
		ID: uuid.NewString(), ProjectID: r.id(), Order: order, Hostnames: hostnames, DevicesMin: least, DevicesMax: most,
		MaxBidPrice: input.MaxBidPrice, EndAt: endAt, CreatedBy: r.token.UserID, CreatedAt: now, UpdatedAt: now,
	}, nil
}

// facilityCodes makes codes of facilities that are named by ID, as the API's
// document has it. What is neither stays as it is, and is refused later.
func (a *API) facilityCodes(names []string) packet.FacilityCodes {
	var codes packet.FacilityCodes
	for _, name := range names {
		code := name
		for i := range a.catalogue.Facilities {
			if a.catalogue.Facilities[i].ID == name {
				code = a.catalogue.Facilities[i].Code
			}
		}
		codes = append(codes, code)
	}
	return codes
}
