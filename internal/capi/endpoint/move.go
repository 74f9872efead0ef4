package endpoint

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
)

// moveTimeout bounds a move, which goes on though the process was told to end: an address that nobody has is worse than an
// end that comes late.
const moveTimeout = 30 * time.Second

// API is what moving an address needs of the Packet API; packet.Client is one.
type API interface {
	IPReservation(ctx context.Context, id string, options ...packet.QueryOption) (*packet.IPReservation, error)
	AssignIP(ctx context.Context, deviceID, address string, options ...packet.QueryOption) (*packet.IPAssignment, error)
	DeleteIP(ctx context.Context, id string) error
}

// Address is a cluster's elastic IP.
type Address struct {
	// ReservationID is the UUID of the reservation.
	ReservationID string
	// IP is the address itself.
	IP string
}

// assignments reads who has the address now.
func (a Address) assignments(ctx context.Context, api API) (*packet.IPReservation, error) {
	reservation, err := api.IPReservation(ctx, a.ReservationID, packet.Include("assignments"))
	switch {
	case packet.IsNotFound(err), packet.IsForbidden(err):
		return nil, &goneError{fmt.Errorf("elastic IP %s is not reserved any more: %w", a.IP, err)}
	case err != nil:
		return nil, fmt.Errorf("looking who has elastic IP %s: %w", a.IP, err)
	}
	return reservation, nil
}

// goneError tells that the reservation is not there any more, which is for another controller to report. A device that is
// gone is something else.
type goneError struct{ error }

func (e *goneError) Unwrap() error { return e.error }

// give gives the address to the first candidate that takes it and returns the device that has it in the end, which may be
// one that somebody else gave it to meanwhile; given tells that this call did.
func (a Address) give(ctx context.Context, api API, candidates []member) (holder string, given bool, err error) {
	var problems []error
	for _, candidate := range candidates {
		id := candidate.device.ID
		_, err := api.AssignIP(ctx, id, a.IP)
		if err == nil {
			return id, true, nil
		}
		problems = append(problems, fmt.Errorf("assigning elastic IP %s to device %s: %w", a.IP, id, err))
		// It may have been carried out, or somebody else was faster.
		reservation, err := a.assignments(ctx, api)
		if err != nil {
			return "", false, errors.Join(append(problems, err)...)
		}
		if len(reservation.Assignments) > 0 {
			return reservation.Assignments[0].AssignedTo.ID(), false, nil
		}
	}
	return "", false, errors.Join(problems...)
}

// move takes the address from whoever has it and gives it to the first candidate that takes it, at last to the one that had
// it before, if that one may have it back.
func (a Address) move(ctx context.Context, api API, from []packet.IPAssignment, candidates []member, back *member) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), moveTimeout)
	defer cancel()
	for _, assignment := range from {
		// Of two who move the address at once, the later one finds the assignment gone.
		if err := api.DeleteIP(ctx, assignment.ID); err != nil && !packet.IsNotFound(err) {
			return "", fmt.Errorf("taking elastic IP %s from device %s: %w", a.IP, assignment.AssignedTo.ID(), err)
		}
	}
	if back != nil {
		candidates = append(candidates[:len(candidates):len(candidates)], *back)
	}
	holder, _, err := a.give(ctx, api, candidates)
	return holder, err
}
