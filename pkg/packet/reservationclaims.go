package packet

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// HardwareReservationLister lists hardware reservations; Client is one.
type HardwareReservationLister interface {
	HardwareReservations(ctx context.Context, projectID string, options ...QueryOption) ([]HardwareReservation, error)
}

// ReservationClaims keeps those who make devices of a project at the same time
// from asking for the same hardware reservation, and from asking for one that
// cannot be had: without it, the five hundredth machine of five hundred would
// ask for 499 that are taken. They share one listing.
type ReservationClaims struct {
	projectID string
	listing   *ListingCache[[]HardwareReservation]

	// turn is held by who decides about claims.
	turn chan struct{}
	// claimed are those that are being asked for right now, in lower case.
	claimed map[string]bool
}

// NewReservationClaims prepares the claims of a project. A listing is shared
// for ttl; nothing is read yet.
func NewReservationClaims(lister HardwareReservationLister, projectID string, ttl time.Duration, clock Clock) *ReservationClaims {
	return &ReservationClaims{
		projectID: projectID,
		listing: NewListingCache(func(ctx context.Context) ([]HardwareReservation, error) {
			return lister.HardwareReservations(ctx, projectID)
		}, "the list of hardware reservations", ttl, clock),
		turn:    make(chan struct{}, 1),
		claimed: map[string]bool{},
	}
}

// Claim takes a hardware reservation for the caller, who has to Release it, and
// returns its ID as the API spells it. If it cannot be had, reason is a
// sentence that says why.
func (c *ReservationClaims) Claim(ctx context.Context, wanted string) (id, reason string, err error) {
	// The turn is taken before the list is read: a list from before a claim was
	// released would show its reservation as free.
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return "", "", fmt.Errorf("waiting for the hardware reservations of project %s: %w", c.projectID, ctx.Err())
	}
	all, err := c.listing.Recent(ctx)
	if err != nil {
		return "", "", fmt.Errorf("listing the hardware reservations of project %s: %w", c.projectID, err)
	}
	n := slices.IndexFunc(all, func(r HardwareReservation) bool { return strings.EqualFold(r.ID, wanted) })
	if n < 0 {
		return "", fmt.Sprintf("hardware reservation %s is none of project %s", wanted, c.projectID), nil
	}
	switch key := strings.ToLower(wanted); {
	case all[n].Device != nil:
		return "", fmt.Sprintf("hardware reservation %s has device %s", wanted, deviceOfReservation(&all[n])), nil
	case !all[n].Provisionable:
		return "", fmt.Sprintf("hardware reservation %s is not provisionable", wanted), nil
	case c.claimed[key]:
		return "", fmt.Sprintf("hardware reservation %s is being given to another machine", wanted), nil
	default:
		c.claimed[key] = true
		return all[n].ID, "", nil
	}
}

// Release ends a claim with what came of the device that was asked for.
func (c *ReservationClaims) Release(id string, err error) {
	if err == nil {
		c.listing.Change(func(all []HardwareReservation) []HardwareReservation {
			changed := slices.Clone(all)
			for n := range changed {
				if strings.EqualFold(changed[n].ID, id) {
					changed[n].Provisionable = false
				}
			}
			return changed
		})
	} else {
		// Somebody else took it, or nobody knows whether the device was made.
		c.listing.Forget()
	}
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	delete(c.claimed, strings.ToLower(id))
}

func deviceOfReservation(reservation *HardwareReservation) string {
	if reservation.Device.ID != "" {
		return reservation.Device.ID
	}
	return path.Base(reservation.Device.Href)
}
