// Package elasticips owns the addresses of control plane endpoints: one elastic IP per cluster, found by the cluster's tags
// before it is reserved, assigned to a control plane device, and given back when the cluster goes. It knows the Packet API
// and no Kubernetes client.
package elasticips

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/pkg/packet"
)

// API is what this package needs of the Packet API; packet.Client is one.
type API interface {
	IPReservations(ctx context.Context, projectID string, options ...packet.QueryOption) ([]packet.IPReservation, error)
	CreateIPReservation(ctx context.Context, projectID string, create packet.IPReservationCreate, options ...packet.QueryOption) (*packet.IPReservation, error)
	IPReservation(ctx context.Context, id string, options ...packet.QueryOption) (*packet.IPReservation, error)
	DeleteIP(ctx context.Context, id string) error
}

// Owner is the cluster that an elastic IP belongs to. The namespace is part of it: clusters of two namespaces may share
// their name.
type Owner struct {
	Namespace string
	Cluster   string
}

func (o Owner) tags() []string { return packet.ClusterTags(o.Namespace, o.Cluster) }

// elastic tells an elastic IP with the given tags from all other reservations.
func elastic(r packet.IPReservation, tags []string) bool {
	return r.Type == packet.IPTypePublicIPv4 && !r.Management && packet.HasTags(r.Tags, tags...)
}

// Find returns the elastic IPs of a cluster, oldest first. There should be one at most.
func Find(ctx context.Context, api API, projectID string, owner Owner) ([]packet.IPReservation, error) {
	all, err := api.IPReservations(ctx, projectID, packet.IPTypes(packet.IPTypePublicIPv4))
	if err != nil {
		return nil, fmt.Errorf("listing the addresses of project %s: %w", projectID, err)
	}
	tags := owner.tags()
	ours := slices.DeleteFunc(slices.Clone(all), func(r packet.IPReservation) bool { return !elastic(r, tags) })
	slices.SortStableFunc(ours, func(a, b packet.IPReservation) int {
		if a.CreatedAt != nil && b.CreatedAt != nil {
			if c := a.CreatedAt.Compare(b.CreatedAt.Time); c != 0 {
				return c
			}
		}
		return strings.Compare(a.ID, b.ID)
	})
	return ours, nil
}

// Reserve returns the elastic IP of a cluster and reserves it if there is none; created tells which. After an error that
// packet.IsTransient the reservation may exist: the next call finds it.
func Reserve(ctx context.Context, api API, projectID string, owner Owner, metro, facility string) (reservation *packet.IPReservation, created bool, err error) {
	existing, err := Find(ctx, api, projectID, owner)
	if err != nil {
		return nil, false, err
	}
	if len(existing) > 0 {
		return &existing[0], false, nil
	}
	reservation, err = api.CreateIPReservation(ctx, projectID, packet.IPReservationCreate{
		Type:     packet.IPTypePublicIPv4,
		Quantity: 1,
		Metro:    metro,
		Facility: facility,
		Details:  fmt.Sprintf("control plane endpoint of cluster %s/%s", owner.Namespace, owner.Cluster),
		Tags:     owner.tags(),
		// A request that a person at Packet has to approve would look like one that is about to be granted.
		FailOnApprovalRequired: true,
	})
	if err != nil {
		return nil, false, fmt.Errorf("reserving an elastic IP: %w", err)
	}
	return reservation, true, nil
}

// Release gives back the elastic IPs of a cluster, and no other. It returns the addresses that were still there when it
// looked: the cluster is clean once a call returns none. The ID of the reservation that was recorded, if there was one, finds
// it also if it is in another project than the given one, which the credentials may not have named when it was made.
func Release(ctx context.Context, api API, projectID string, owner Owner, recorded string) ([]string, error) {
	existing, err := Find(ctx, api, projectID, owner)
	if err != nil {
		return nil, err
	}
	if len(existing) == 0 && recorded != "" {
		reservation, err := api.IPReservation(ctx, recorded)
		switch {
		case packet.IsNotFound(err), packet.IsForbidden(err):
			// It is gone, or out of our reach for good.
		case err != nil:
			return nil, fmt.Errorf("looking for reservation %s: %w", recorded, err)
		case elastic(*reservation, owner.tags()):
			existing = append(existing, *reservation)
		}
	}
	var (
		remaining []string
		errs      []error
	)
	for _, reservation := range existing {
		remaining = append(remaining, reservation.Address)
		if err := api.DeleteIP(ctx, reservation.ID); err != nil && !packet.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("releasing elastic IP %s: %w", reservation.Address, err))
		}
	}
	return remaining, errors.Join(errs...)
}
