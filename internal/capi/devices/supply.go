package devices

import (
	"context"
	"fmt"
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
)

// supplyTTL is how long one listing of hardware reservations or SSH keys is shared. They are only read when a device is
// made, and what this process takes itself it knows without reading.
const supplyTTL = 5 * time.Second

// SupplyReader reads what a project has; packet.Client is one.
type SupplyReader interface {
	packet.HardwareReservationLister
	ProjectSSHKeys(ctx context.Context, projectID string) ([]packet.SSHKey, error)
}

// Supply is what a project has to make devices of: hardware reservations and SSH keys, in listings that all machines share.
type Supply struct {
	projectID    string
	reservations *packet.ReservationClaims
	keys         *packet.ListingCache[[]packet.SSHKey]
}

// NewSupply makes the Supply of a project. Nothing is read yet.
func NewSupply(reader SupplyReader, projectID string, clock packet.Clock) *Supply {
	return &Supply{
		projectID:    projectID,
		reservations: packet.NewReservationClaims(reader, projectID, supplyTTL, clock),
		keys: packet.NewListingCache(func(ctx context.Context) ([]packet.SSHKey, error) {
			return reader.ProjectSSHKeys(ctx, projectID)
		}, "the list of SSH keys", supplyTTL, clock),
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
