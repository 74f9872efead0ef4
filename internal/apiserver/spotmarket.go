package apiserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	// tradeInterval is how often bids are compared with prices, and how long a
	// bid waits for a server that was given back.
	tradeInterval = time.Minute
	// spotWarning is how long a device that is outbid stays, so that what runs
	// on it can end: its metadata tells it.
	spotWarning = 2 * time.Minute
)

// trade carries out the bids of the spot market until the context ends. Every
// process may do so at once: each device is made, or told to go, in one
// transaction.
func (a *API) trade(ctx context.Context) {
	for {
		var bids, devices []string
		a.store.Peek(func(s *store.Snapshot) {
			now := a.clock.Now()
			for _, row := range s.Devices.In(store.OnSpotMarket) {
				if a.outbid(row.Value, now) {
					devices = append(devices, row.Value.ID)
				}
			}
			for _, row := range s.SpotMarketRequests.All() {
				if row.Value.DevicesMax > len(row.Value.DeviceIDs) {
					bids = append(bids, row.Value.ID)
				}
			}
		})
		for _, id := range devices {
			if err := a.giveNotice(ctx, id); err != nil && ctx.Err() == nil {
				a.logger.WarnContext(ctx, "A spot instance was not told to go; trying again.", "device", id, "error", err)
			}
		}
		for _, id := range bids {
			if err := a.fulfil(ctx, id); err != nil && ctx.Err() == nil {
				a.logger.WarnContext(ctx, "A spot market request was not carried out; trying again.", "request", id, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-a.clock.After(tradeInterval):
		}
	}
}

// outbid tells whether a device costs more than its bid, and stays longer
// than it is given then.
func (a *API) outbid(device *store.Device, now time.Time) bool {
	plan, ok := a.catalogue.Plan(device.Plan)
	if !ok || !device.SpotInstance || device.State == packet.StateDeprovisioning {
		return false
	}
	if device.TerminationTime != nil && !device.TerminationTime.After(now.Add(spotWarning)) {
		return false
	}
	return spotPrice(plan, device.Metro, now) > device.SpotPriceMax
}

// giveNotice has a device that is outbid go soon. Its bid makes another when
// it is high enough again.
func (a *API) giveNotice(ctx context.Context, id string) error {
	err := a.store.Update(ctx, func(tx *store.Tx) error {
		row, ok := tx.Devices.Get(id)
		now := a.clock.Now()
		if !ok || !a.outbid(row.Value, now) {
			return nil
		}
		device := *row.Value
		end := now.Add(spotWarning)
		device.TerminationTime = &end
		device.UpdatedAt = now
		tx.Devices.Update(tx, row, &device)
		for _, bid := range tx.SpotMarketRequests.In(store.InProject(device.ProjectID)) {
			at := slices.Index(bid.Value.DeviceIDs, id)
			if at < 0 {
				continue
			}
			without := *bid.Value
			without.DeviceIDs = slices.Delete(slices.Clone(without.DeviceIDs), at, at+1)
			// The names stand in the order of the devices; this one is free again.
			if at < len(without.Hostnames) {
				name := without.Hostnames[at]
				without.Hostnames = append(slices.Delete(slices.Clone(without.Hostnames), at, at+1), name)
			}
			without.UpdatedAt = now
			tx.SpotMarketRequests.Update(tx, bid, &without)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ending a spot instance: %w", err)
	}
	return nil
}

// fulfil makes the devices of a bid that are left to make, as far as the bid
// is high enough and there are servers.
func (a *API) fulfil(ctx context.Context, id string) error {
	choice := a.allocator.Choose()
	defer choice.Release()
	for {
		over, deviceID := false, uuid.NewString()
		err := a.store.Update(ctx, func(tx *store.Tx) error {
			choice.Release()
			row, ok := tx.SpotMarketRequests.Get(id)
			now := a.clock.Now()
			if over = !ok || len(row.Value.DeviceIDs) >= row.Value.DevicesMax || row.Value.EndAt != nil && !row.Value.EndAt.After(now); over {
				return nil
			}
			bid := *row.Value
			input := bid.Order
			input.Hostname = bid.Hostnames[len(bid.DeviceIDs)]
			order, err := a.order(input)
			if err != nil {
				return err
			}
			if over = !a.worthwhile(tx.Snapshot, &bid, order, now); over {
				return nil
			}
			bid.DeviceIDs = append(slices.Clone(bid.DeviceIDs), deviceID)
			bid.UpdatedAt = now
			tx.SpotMarketRequests.Update(tx, row, &bid)
			return a.addDevice(tx, choice, order, deviceID, bid.ProjectID, bid.CreatedBy)
		})
		var refusal *apiError
		if errors.As(err, &refusal) {
			// The bid stands: what is refused now may be possible later.
			a.logger.DebugContext(ctx, "A spot market request waits.", "request", id, "reason", refusal)
			return nil
		}
		if err != nil {
			return fmt.Errorf("carrying out a spot market request: %w", err)
		}
		if over {
			return nil
		}
	}
}

// worthwhile tells whether a bid is enough somewhere, and, for the first of
// its devices, whether there are as many servers as it wants at least.
func (a *API) worthwhile(s *store.Snapshot, bid *store.SpotMarketRequest, o *order, now time.Time) bool {
	places, err := a.affordable(o.destination.choices(a.catalogue), o.plan, bid.MaxBidPrice, now)
	if err != nil {
		return false
	}
	wanted := 1
	if len(bid.DeviceIDs) == 0 {
		wanted = bid.DevicesMin
	}
	free := 0
	counted := map[string]bool{}
	for _, place := range places {
		if counted[place.Metro.Code] {
			continue
		}
		counted[place.Metro.Code] = true
		available := a.available(s, o.plan.Slug, place.Metro.Code)
		if available < 0 {
			return true
		}
		free += available
	}
	return free >= wanted
}
