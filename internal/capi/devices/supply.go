package devices

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
)

// supplyTTL is how long one listing of hardware reservations or SSH keys is shared. They are only read when a device is
// made, and what this process takes itself it knows without reading.
const supplyTTL = 5 * time.Second

// SupplyReader reads what a project has; packet.Client is one.
type SupplyReader interface {
	HardwareReservations(ctx context.Context, projectID string, options ...packet.QueryOption) ([]packet.HardwareReservation, error)
	ProjectSSHKeys(ctx context.Context, projectID string) ([]packet.SSHKey, error)
}

// Supply is what a project has to make devices of: hardware reservations and SSH keys, in listings that all machines share.
type Supply struct {
	projectID    string
	reservations *packet.ListingCache[[]packet.HardwareReservation]
	keys         *packet.ListingCache[[]packet.SSHKey]

	// turn is held by who decides about claims.
	turn chan struct{}
	// claimed are the hardware reservations that are being asked for right now, in lower case.
	claimed map[string]bool
}

// NewSupply makes the Supply of a project. Nothing is read yet.
func NewSupply(reader SupplyReader, projectID string, clock packet.Clock) *Supply {
	return &Supply{
		projectID: projectID,
		reservations: packet.NewListingCache(func(ctx context.Context) ([]packet.HardwareReservation, error) {
			return reader.HardwareReservations(ctx, projectID)
		}, "the list of hardware reservations", supplyTTL, clock),
		keys: packet.NewListingCache(func(ctx context.Context) ([]packet.SSHKey, error) {
			return reader.ProjectSSHKeys(ctx, projectID)
		}, "the list of SSH keys", supplyTTL, clock),
		turn:    make(chan struct{}, 1),
		claimed: map[string]bool{},
	}
}

// sshKeys are the UUIDs of the project's keys.
func (s *Supply) sshKeys(ctx context.Context) ([]string, error) {
	keys, err := s.keys.Recent(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the SSH keys of project %s: %w", s.projectID, err)
	}
	ids := make([]string, 0, len(keys))
	for _, key := range keys {
		ids = append(ids, key.ID)
	}
	return ids, nil
}

// claim takes a hardware reservation for the caller, who has to release it. If it cannot be had, reason is a sentence that
// says why.
func (s *Supply) claim(ctx context.Context, wanted string) (id, reason string, err error) {
	// The turn is taken before the list is read: a list from before a claim was released would show its reservation as free.
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", "", fmt.Errorf("waiting for the hardware reservations: %w", ctx.Err())
	}
	all, err := s.reservations.Recent(ctx)
	if err != nil {
		return "", "", fmt.Errorf("listing the hardware reservations of project %s: %w", s.projectID, err)
	}
	for n := range all {
		reservation := &all[n]
		if !strings.EqualFold(reservation.ID, wanted) {
			continue
		}
		switch key := strings.ToLower(wanted); {
		case reservation.Device != nil:
			return "", fmt.Sprintf("hardware reservation %s has device %s", wanted, deviceOf(reservation)), nil
		case !reservation.Provisionable:
			return "", fmt.Sprintf("hardware reservation %s is not provisionable", wanted), nil
		case s.claimed[key]:
			return "", fmt.Sprintf("hardware reservation %s is being given to another machine", wanted), nil
		default:
			s.claimed[key] = true
			return reservation.ID, "", nil
		}
	}
	return "", fmt.Sprintf("hardware reservation %s is none of project %s", wanted, s.projectID), nil
}

// release ends a claim, with what came of it.
func (s *Supply) release(id string, err error) {
	if err == nil {
		s.reservations.Change(func(all []packet.HardwareReservation) []packet.HardwareReservation {
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
		s.reservations.Forget()
	}
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	delete(s.claimed, strings.ToLower(id))
}

func deviceOf(reservation *packet.HardwareReservation) string {
	if reservation.Device.ID != "" {
		return reservation.Device.ID
	}
	return path.Base(reservation.Device.Href)
}
