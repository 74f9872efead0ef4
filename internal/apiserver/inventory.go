package apiserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// Capacity says how many servers of a plan there are in a metro for devices
// on demand, those in use included. Of several that fit, the one for the plan
// in the metro counts, then that for the metro, for the plan, for everything.
type Capacity struct {
	// Plan is a slug, Metro a code. Empty means every one.
	Plan  string `json:"plan,omitempty"`
	Metro string `json:"metro,omitempty"`
	// Servers less than 0 means that there is no limit.
	Servers int `json:"servers"`
}

// HardwareReservation is a number of servers to keep for a project.
type HardwareReservation struct {
	// ID is that of the only server. Empty makes one up, always the same for
	// the same project, plan and facility.
	ID string `json:"id,omitempty"`
	// ProjectID empty means the first project.
	ProjectID string `json:"projectID,omitempty"`
	Plan      string `json:"plan"`
	// Metro, or Facility, says where the servers are.
	Metro    string `json:"metro,omitempty"`
	Facility string `json:"facility,omitempty"`
	// Quantity is how many servers; 0 means 1.
	Quantity int `json:"quantity,omitempty"`
	// Spare servers take no device before they are activated.
	Spare bool `json:"spare,omitempty"`
	// NeedOfService servers are broken, and take no device.
	NeedOfService   bool       `json:"needOfService,omitempty"`
	CustomRate      *float64   `json:"customRate,omitempty"`
	TerminationTime *time.Time `json:"terminationTime,omitempty"`
}

// inventory checks and writes what servers there are.
type inventory struct {
	store     *store.Store
	catalogue *catalogue.Catalogue
	clock     lifecycle.Clock
}

// SetCapacity limits how many servers there are from now on, for all
// processes that share the store. It counts more than what any was started
// with. Devices that are there stay, whatever the limit.
func (s *Server) SetCapacity(ctx context.Context, limits ...Capacity) error {
	return s.inventory().setCapacity(ctx, limits)
}

// ResetCapacity takes back all that SetCapacity has set.
func (s *Server) ResetCapacity(ctx context.Context) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		for _, row := range tx.Capacities.All() {
			tx.Capacities.Delete(tx, row)
		}
		return nil
	})
}

// ReserveHardware keeps servers for projects. A server whose ID is known
// already is left as it is, so the same reservations may be made again. It
// returns the IDs of all servers, known or new, in order.
func (s *Server) ReserveHardware(ctx context.Context, reservations ...HardwareReservation) ([]string, error) {
	return s.inventory().reserve(ctx, s.credentials.ProjectID, reservations)
}

// SetMaxDevices says how many devices on demand of each plan a project may
// have, by the plan's slug, and by "default" for all others. A plan that is
// in neither has no limit. Devices that are there stay.
func (s *Server) SetMaxDevices(ctx context.Context, projectID string, most map[string]int) error {
	for slug, number := range most {
		if _, ok := s.api.catalogue.Plan(slug); !ok && slug != store.DefaultMaxDevices {
			return fmt.Errorf("max devices: plan %q is not one of %v and %q", slug, s.api.catalogue.PlanSlugs(), store.DefaultMaxDevices)
		}
		if number < 0 {
			return fmt.Errorf("max devices: %d of plan %q is less than 0", number, slug)
		}
	}
	return s.store.Update(ctx, func(tx *store.Tx) error {
		row, ok := tx.Projects.Get(projectID)
		if !ok {
			return fmt.Errorf("max devices: project %q does not exist", projectID)
		}
		project := *row.Value
		project.MaxDevices = maps.Clone(most)
		tx.Projects.Update(tx, row, &project)
		return nil
	})
}

func (s *Server) inventory() inventory {
	return inventory{store: s.store, catalogue: s.api.catalogue, clock: s.cfg.Clock}
}

// validateCapacity finds all that is wrong with limits.
func validateCapacity(c *catalogue.Catalogue, limits []Capacity) error {
	var all []error
	for _, limit := range limits {
		if _, ok := c.Plan(limit.Plan); !ok && limit.Plan != "" {
			all = append(all, fmt.Errorf("capacity: plan %q is not one of %v", limit.Plan, c.PlanSlugs()))
		}
		if _, ok := c.Metro(limit.Metro); !ok && limit.Metro != "" {
			all = append(all, fmt.Errorf("capacity: metro %q is not one of %v", limit.Metro, c.MetroCodes()))
		}
	}
	return errors.Join(all...)
}

// capacityByID is how the API looks limits up.
func capacityByID(limits []Capacity) map[string]int {
	byID := make(map[string]int, len(limits))
	for _, limit := range limits {
		byID[store.CapacityID(limit.Plan, limit.Metro)] = limit.Servers
	}
	return byID
}

// recordsAtATime keeps a transaction below the number of operations that etcd
// allows it.
const recordsAtATime = 50

func (i inventory) setCapacity(ctx context.Context, limits []Capacity) error {
	if err := validateCapacity(i.catalogue, limits); err != nil {
		return err
	}
	for part := range slices.Chunk(limits, recordsAtATime) {
		err := i.store.Update(ctx, func(tx *store.Tx) error {
			for _, limit := range part {
				record := &store.Capacity{Plan: limit.Plan, Metro: limit.Metro, Servers: limit.Servers, UpdatedAt: i.clock.Now()}
				if row, ok := tx.Capacities.Get(store.CapacityID(limit.Plan, limit.Metro)); ok {
					tx.Capacities.Update(tx, row, record)
				} else {
					tx.Capacities.Create(tx, record)
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("setting the capacity: %w", err)
		}
	}
	return nil
}

// reserve makes the records of reserved servers.
func (i inventory) reserve(ctx context.Context, project string, reservations []HardwareReservation) ([]string, error) {
	var records []*store.HardwareReservation
	var all []error
	counts := map[string]int{}
	for n, reservation := range reservations {
		if reservation.ProjectID == "" {
			reservation.ProjectID = project
		}
		made, err := i.servers(reservation, counts)
		if err != nil {
			all = append(all, fmt.Errorf("hardware reservation %d: %w", n+1, err))
		}
		records = append(records, made...)
	}
	if err := errors.Join(all...); err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(records))
	for part := range slices.Chunk(records, recordsAtATime) {
		err := i.store.Update(ctx, func(tx *store.Tx) error {
			for _, record := range part {
				if _, ok := tx.Projects.Get(record.ProjectID); !ok {
					return fmt.Errorf("project %q does not exist", record.ProjectID)
				}
				if _, known := tx.HardwareReservations.Get(record.ID); !known {
					tx.HardwareReservations.Create(tx, record)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reserving hardware: %w", err)
		}
		for _, record := range part {
			ids = append(ids, record.ID)
		}
	}
	return ids, nil
}

// hardwareNamespace is what the IDs of reserved servers are made from that
// have none of their own.
var hardwareNamespace = uuid.MustParse("4f1c6f3a-7f0b-5f0e-8a34-6b1f5f6e2d10")

// servers are the records of one reservation. Counts has how many servers of
// a kind there were before.
func (i inventory) servers(r HardwareReservation, counts map[string]int) ([]*store.HardwareReservation, error) {
	var all []error
	plan, ok := i.catalogue.Plan(r.Plan)
	if !ok {
		all = append(all, fmt.Errorf("plan %q is not one of %v", r.Plan, i.catalogue.PlanSlugs()))
	}
	facility, ok := i.catalogue.Facility(r.Facility)
	if r.Facility == "" {
		metro, found := i.catalogue.Metro(r.Metro)
		if !found {
			all = append(all, fmt.Errorf("metro %q is not one of %v", r.Metro, i.catalogue.MetroCodes()))
		} else {
			facility = i.catalogue.FacilityIn(metro.Code)
		}
	} else if !ok {
		all = append(all, fmt.Errorf("facility %q is not one of %v", r.Facility, i.catalogue.FacilityCodes()))
	}
	if r.ID != "" && r.Quantity > 1 {
		all = append(all, fmt.Errorf("quantity %d with an id, which is one server's", r.Quantity))
	}
	if _, err := uuid.Parse(r.ID); r.ID != "" && err != nil {
		all = append(all, fmt.Errorf("id %q is not a UUID", r.ID))
	}
	if r.Quantity < 0 {
		all = append(all, fmt.Errorf("quantity %d is less than 0", r.Quantity))
	}
	if err := errors.Join(all...); err != nil {
		return nil, err
	}
	var records []*store.HardwareReservation
	for range max(r.Quantity, 1) {
		record := &store.HardwareReservation{
			ID: r.ID, ProjectID: r.ProjectID, Plan: plan.Slug, Facility: facility.Code, Metro: facility.Metro.Code,
			Spare: r.Spare, NeedOfService: r.NeedOfService, CustomRate: r.CustomRate, TerminationTime: r.TerminationTime,
			CreatedAt: i.clock.Now(),
		}
		if record.ID == "" {
			kind := r.ProjectID + "/" + plan.Slug + "/" + facility.Code
			counts[kind]++
			record.ID = uuid.NewSHA1(hardwareNamespace, []byte(kind+"/"+strconv.Itoa(counts[kind]))).String()
		}
		records = append(records, record)
	}
	return records, nil
}
