package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	// maxBatches and maxBatchDevices bound what one request may ask for.
	maxBatches      = 20
	maxBatchDevices = 100
	// batchTimeout leaves the answer some of the time that a request has. What
	// is not done by then is gone on with later.
	batchTimeout = 20 * time.Second
	// batchInterval is how often it is looked for batches that were begun by
	// somebody who died.
	batchInterval = 30 * time.Second
	indexTemplate = "{{index}}"
)

// batchInput is one batch of a request.
type batchInput struct {
	packet.BatchCreate
	TerminationTime terminationTime `json:"termination_time"`
}

// createBatches records what is asked for, makes the devices, and answers
// with what came of it.
func (a *API) createBatches(r *request) (response, error) {
	var body struct {
		Batches []batchInput `json:"batches"`
	}
	if err := r.decode(&body); err != nil {
		return response{}, err
	}
	records, orders, err := a.batchRecords(r, body.Batches)
	if err != nil {
		return response{}, err
	}
	err = a.store.Update(r.ctx, func(tx *store.Tx) error {
		project, ok := tx.Projects.Get(r.id())
		if !ok {
			return errNotFound()
		}
		tx.Projects.Require(tx, project)
		for i, record := range records {
			if room := a.room(tx.Snapshot, project.Value, orders[i], a.clock.Now()); room >= 0 && room < len(record.Hostnames) {
				return refuse(http.StatusServiceUnavailable, "batches[%d].quantity %d is more than the %d provisionable %s servers that match",
					i, len(record.Hostnames), room, orders[i].plan.Slug)
			}
			tx.Batches.Create(tx, record)
		}
		return nil
	})
	if err != nil {
		return response{}, err
	}

	// A client that goes away has asked for them all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), batchTimeout)
	defer cancel()
	for _, record := range records {
		if err := a.carryOut(ctx, record.ID); err != nil && ctx.Err() == nil {
			return response{}, err
		}
	}
	answer, err := answerAll(a, r, "batches", func(s *store.Snapshot) []*store.Row[store.Batch] {
		var rows []*store.Row[store.Batch]
		for _, record := range records {
			if row, ok := s.Batches.Get(record.ID); ok {
				rows = append(rows, row)
			}
		}
		return rows
	}, encodeBatch)
	answer.status = http.StatusCreated
	return answer, err
}

// batchRecords checks all batches of a request.
func (a *API) batchRecords(r *request, inputs []batchInput) ([]*store.Batch, []*order, error) {
	var p problems
	if len(inputs) == 0 {
		p.add("batches can't be blank: it is a list of devices with a quantity each")
	}
	if len(inputs) > maxBatches {
		return nil, nil, refuse(http.StatusUnprocessableEntity, "batches has %d batches, it must have at most %d", len(inputs), maxBatches)
	}
	total, now := 0, a.clock.Now()
	var records []*store.Batch
	var orders []*order
	for i, input := range inputs {
		field := fmt.Sprintf("batches[%d].", i)
		create := input.DeviceCreate
		create.TerminationTime = &input.TerminationTime.Timestamp
		hostnames := p.hostnames(field, input.BatchCreate)
		create.Hostname = ""
		order, err := a.order(create)
		if err := p.within(field, err); err != nil {
			return nil, nil, err
		}
		if id := create.HardwareReservationID; id != "" && id != nextAvailable && len(hostnames) > 1 {
			p.add("%shardware_reservation_id %q is one server, and quantity is %d", field, id, len(hostnames))
		}
		total += len(hostnames)
		orders = append(orders, order)
		// Batches of one transaction are listed by their IDs, and so in order.
		records = append(records, &store.Batch{
			ID: uuid.Must(uuid.NewV7()).String(), ProjectID: r.id(), Order: create, Hostnames: hostnames, State: store.BatchQueued,
			CreatedBy: r.token.UserID, CreatedAt: now, UpdatedAt: now,
		})
	}
	if total > maxBatchDevices {
		p.add("batches has %d devices, it must have at most %d", total, maxBatchDevices)
	}
	return records, orders, p.err()
}

// within adds the problems of a part of a request. Any other error it returns.
func (p *problems) within(field string, err error) error {
	var refusal *apiError
	if !errors.As(err, &refusal) || refusal.status != http.StatusUnprocessableEntity {
		return err
	}
	for _, message := range refusal.messages {
		p.add("%s%s", field, message)
	}
	return nil
}

// hostnames are the host names of a batch's devices, one for each.
func (p *problems) hostnames(field string, input packet.BatchCreate) []string {
	quantity := input.Quantity
	if quantity == 0 {
		quantity = max(len(input.Hostnames), 1)
	}
	if quantity < 1 || quantity > maxBatchDevices {
		p.add("%squantity %d is not from 1 to %d", field, quantity, maxBatchDevices)
		return nil
	}
	names := slices.Clone(input.Hostnames)
	switch {
	case len(names) == 0:
		names = slices.Repeat([]string{input.Hostname}, quantity)
	case len(names) == 1 && (quantity == 1 || strings.Contains(names[0], indexTemplate)):
		names = slices.Repeat(names, quantity)
	case len(names) != quantity:
		p.add("%shostnames has %d names, it must have one for each of the %d devices, or one with %s in it",
			field, len(names), quantity, indexTemplate)
		return nil
	}
	for i, name := range names {
		names[i] = strings.ReplaceAll(name, indexTemplate, fmt.Sprintf("%02d", i+1))
		if names[i] != "" {
			p.hostname(names[i])
		}
	}
	return names
}

// room is how many servers there are for an order now, or unlimited.
func (a *API) room(s *store.Snapshot, project *store.Project, o *order, now time.Time) int {
	free := 0
	switch o.input.HardwareReservationID {
	case nextAvailable:
		for _, row := range s.HardwareReservations.In(store.InProject(project.ID)) {
			if row.Value.Plan == o.plan.Slug && o.destination.allows(row.Value) && row.Value.Provisionable(now) {
				free++
			}
		}
		return free
	case "":
		if !o.hasFeatures() {
			return 0
		}
		for _, facility := range o.destination.choices(a.catalogue) {
			available := a.available(s, o.plan.Slug, facility.Metro.Code)
			if available < 0 {
				return unlimited
			}
			free += available
		}
		return free
	default:
		return unlimited
	}
}

// carryOut makes the devices of a batch that are left to make. Others may do
// so at the same time: each device is made in one transaction with the record
// of the batch, and so once.
func (a *API) carryOut(ctx context.Context, id string) error {
	choice := a.allocator.Choose()
	defer choice.Release()
	for {
		over, deviceID := false, uuid.NewString()
		err := a.store.Update(ctx, func(tx *store.Tx) error {
			choice.Release()
			row, ok := tx.Batches.Get(id)
			if over = !ok || row.Value.State != store.BatchQueued; over {
				return nil
			}
			batch := *row.Value
			input := batch.Order
			input.Hostname = batch.Hostnames[len(batch.DeviceIDs)]
			order, err := a.order(input)
			if err != nil {
				return err
			}
			batch.DeviceIDs = append(slices.Clone(batch.DeviceIDs), deviceID)
			batch.UpdatedAt = a.clock.Now()
			if len(batch.DeviceIDs) == len(batch.Hostnames) {
				batch.State = store.BatchCompleted
			}
			tx.Batches.Update(tx, row, &batch)
			return a.addDevice(tx, choice, order, deviceID, batch.ProjectID, batch.CreatedBy)
		})
		var refusal *apiError
		if errors.As(err, &refusal) {
			return a.failBatch(ctx, id, refusal.messages)
		}
		if err != nil || over {
			return err
		}
	}
}

// failBatch gives a batch up. The devices that were made stay.
func (a *API) failBatch(ctx context.Context, id string, reasons []string) error {
	return a.store.Update(ctx, func(tx *store.Tx) error {
		row, ok := tx.Batches.Get(id)
		if !ok || row.Value.State != store.BatchQueued {
			return nil
		}
		batch := *row.Value
		batch.State = store.BatchFailed
		batch.Errors = reasons
		batch.UpdatedAt = a.clock.Now()
		tx.Batches.Update(tx, row, &batch)
		return nil
	})
}

// finishBatches goes on, until the context ends, with batches that were begun
// by somebody who died or ran out of time.
func (a *API) finishBatches(ctx context.Context) {
	for {
		var left []string
		a.store.Peek(func(s *store.Snapshot) {
			for _, row := range s.Batches.All() {
				if row.Value.State == store.BatchQueued {
					left = append(left, row.Value.ID)
				}
			}
		})
		for _, id := range left {
			if err := a.carryOut(ctx, id); err != nil && ctx.Err() == nil {
				a.logger.WarnContext(ctx, "A batch was not gone on with; trying again.", "batch", id, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-a.clock.After(batchInterval):
		}
	}
}
