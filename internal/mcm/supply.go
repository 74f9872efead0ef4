package mcm

import (
	"context"
	"fmt"
	"strings"

	"github.com/packetyard/packetyard/pkg/packet"
)

// supply are the hardware reservations of a project. It spares requests that can only fail: without it, the five hundredth
// machine of a pool with five hundred reservations would ask for 499 that are taken.
type supply struct {
	listing *packet.ListingCache[[]packet.HardwareReservation]

	// turn is held by who decides about claims.
	turn chan struct{}
	// claimed are those that are being asked for right now, in lower case.
	claimed map[string]bool
}

func newSupply(client *packet.Client, projectID string, options Options) *supply {
	return &supply{
		listing: packet.NewListingCache(func(ctx context.Context) ([]packet.HardwareReservation, error) {
			return client.HardwareReservations(ctx, projectID)
		}, "the list of hardware reservations", options.ListingAge, options.Clock),
		turn:    make(chan struct{}, 1),
		claimed: map[string]bool{},
	}
}

// claim takes a reservation for the caller, who has to release it. If it cannot be had, reason tells why.
func (s *supply) claim(ctx context.Context, id string) (reason string, err error) {
	// The turn is taken before the list is read: a list from before a claim was released would show its reservation as free.
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", fmt.Errorf("waiting for the hardware reservations: %w", ctx.Err())
	}
	all, err := s.listing.Recent(ctx)
	if err != nil {
		return "", fmt.Errorf("listing the hardware reservations: %w", err)
	}
	for n := range all {
		reservation := &all[n]
		if !strings.EqualFold(reservation.ID, id) {
			continue
		}
		switch key := strings.ToLower(id); {
		case reservation.Device != nil:
			return fmt.Sprintf("hardware reservation %s has a device", id), nil
		case !reservation.Provisionable:
			return fmt.Sprintf("hardware reservation %s is not provisionable", id), nil
		case s.claimed[key]:
			return fmt.Sprintf("hardware reservation %s is being given to another machine", id), nil
		default:
			s.claimed[key] = true
			return "", nil
		}
	}
	return fmt.Sprintf("hardware reservation %s is none of the project", id), nil
}

// release ends a claim with what came of it.
func (s *supply) release(id string, err error) {
	if err == nil {
		s.listing.Change(func(all []packet.HardwareReservation) []packet.HardwareReservation {
			changed := make([]packet.HardwareReservation, len(all))
			copy(changed, all)
			for n := range changed {
				if strings.EqualFold(changed[n].ID, id) {
					changed[n].Provisionable = false
				}
			}
			return changed
		})
	} else {
		// Somebody else took it, or nobody knows whether the device was made.
		s.listing.Forget()
	}
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	delete(s.claimed, strings.ToLower(id))
}
