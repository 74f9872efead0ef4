// Package elasticips owns the addresses of control plane endpoints: one elastic IP per cluster, found by the cluster's tags
// before it is reserved, or brought by the user, and given back when the cluster goes. It knows the Packet API and no
// Kubernetes client. Which device has the address is the business of package endpoint.
package elasticips

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
)

// listingTTL is how long a listing of a project's addresses answers for what is there. It can be long, because what is
// created and released here is put into it, and because "there is none" is always from a new listing.
const listingTTL = 5 * time.Minute

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

// details is the text by which people recognise what was reserved here. A reservation that only has the tags may have got
// them from a person.
func (o Owner) details() string {
	return fmt.Sprintf("control plane endpoint of cluster %s/%s", o.Namespace, o.Cluster)
}

// Wanted says what kind of address to reserve.
type Wanted struct {
	// Type is packet.IPTypePublicIPv4 or packet.IPTypeGlobalIPv4.
	Type string
	// Metro or Facility is where a public address is routed to. A global one is routed everywhere.
	Metro, Facility string
	// Tags are added to those that the address is found by.
	Tags []string
}

// Project is a project's addresses, in a listing that all of its clusters share.
type Project struct {
	api     API
	id      string
	listing *packet.IPReservationCache
}

// NewProject makes a Project. Nothing is read yet.
func NewProject(api API, projectID string, clock packet.Clock) *Project {
	return &Project{api: api, id: projectID, listing: packet.NewIPReservationCache(api, projectID, listingTTL, clock,
		packet.IPTypes(packet.IPTypePublicIPv4, packet.IPTypeGlobalIPv4))}
}

// elastic tells addresses that can move between devices from those that devices are born with.
func elastic(r packet.IPReservation) bool {
	return (r.Type == packet.IPTypePublicIPv4 || r.Type == packet.IPTypeGlobalIPv4) && !r.Management
}

// ofOwner picks a cluster's elastic IPs out of a listing, the oldest first.
func ofOwner(all []packet.IPReservation, owner Owner) []packet.IPReservation {
	tags := owner.tags()
	ours := slices.DeleteFunc(slices.Clone(all), func(r packet.IPReservation) bool {
		return !elastic(r) || !packet.HasTags(r.Tags, tags...)
	})
	slices.SortStableFunc(ours, func(a, b packet.IPReservation) int {
		if a.CreatedAt != nil && b.CreatedAt != nil {
			if c := a.CreatedAt.Compare(b.CreatedAt.Time); c != 0 {
				return c
			}
		}
		return strings.Compare(a.ID, b.ID)
	})
	return ours
}

// Find returns the elastic IPs of a cluster, the oldest first; there should be one at most. The answer "none" is from a
// listing that began after the call.
func (p *Project) Find(ctx context.Context, owner Owner) ([]packet.IPReservation, error) {
	all, err := p.listing.Recent(ctx)
	if err != nil {
		return nil, p.listed(err)
	}
	if ours := ofOwner(all, owner); len(ours) > 0 {
		return ours, nil
	}
	return p.fresh(ctx, owner)
}

func (p *Project) fresh(ctx context.Context, owner Owner) ([]packet.IPReservation, error) {
	all, err := p.listing.Fresh(ctx)
	if err != nil {
		return nil, p.listed(err)
	}
	return ofOwner(all, owner), nil
}

func (p *Project) listed(err error) error {
	return fmt.Errorf("listing the addresses of project %s: %w", p.id, err)
}

// Forget makes the next look at the project's addresses a new listing, because one of them is not what it was.
func (p *Project) Forget() { p.listing.Forget() }

// Reserve returns the elastic IP of a cluster and reserves it if there is none; created tells which. After an error that
// packet.IsTransient the reservation may exist: the next call finds it.
func (p *Project) Reserve(ctx context.Context, owner Owner, wanted Wanted) (reservation *packet.IPReservation, created bool, err error) {
	existing, err := p.Find(ctx, owner)
	if err != nil {
		return nil, false, err
	}
	if len(existing) > 0 {
		return &existing[0], false, nil
	}
	create := packet.IPReservationCreate{
		Type:     wanted.Type,
		Quantity: 1,
		Details:  owner.details(),
		Tags:     append(owner.tags(), wanted.Tags...),
		// A request that a person at Packet has to approve would look like one that is about to be granted.
		FailOnApprovalRequired: true,
	}
	if wanted.Type != packet.IPTypeGlobalIPv4 {
		create.Metro, create.Facility = wanted.Metro, wanted.Facility
	}
	reservation, err = p.api.CreateIPReservation(ctx, p.id, create)
	if err != nil {
		p.listing.Forget()
		return nil, false, fmt.Errorf("reserving an elastic IP: %w", err)
	}
	p.listing.Created(*reservation)
	return reservation, true, nil
}

// ReleaseSurplus gives back what was reserved for a cluster besides the address that it uses. Two reservations come to be
// only when the answer to a request is lost and the reservation is listed later than the next look. One that a device has,
// or that a person tagged, stays. It returns the addresses that were released.
func (p *Project) ReleaseSurplus(ctx context.Context, owner Owner, found []packet.IPReservation, used string) ([]string, error) {
	var released []string
	for _, r := range found {
		if r.Address == used || len(r.Assignments) > 0 || r.Details == nil || *r.Details != owner.details() {
			continue
		}
		if err := p.api.DeleteIP(ctx, r.ID); err != nil && !packet.IsNotFound(err) {
			p.listing.Forget()
			return released, fmt.Errorf("releasing elastic IP %s, which nobody uses: %w", r.Address, err)
		}
		p.listing.Released(r.ID)
		released = append(released, r.Address)
	}
	return released, nil
}

// Release gives back the elastic IPs of a cluster, and no other. It returns the addresses that were still there when it
// looked: the cluster is clean once a call returns none. The ID of the reservation that was recorded, if there was one, finds
// it also if it is in another project than the given one, which the credentials may not have named when it was made.
func (p *Project) Release(ctx context.Context, owner Owner, recorded string) ([]string, error) {
	existing, err := p.fresh(ctx, owner)
	if err != nil {
		return nil, err
	}
	if len(existing) == 0 && recorded != "" {
		reservation, err := p.api.IPReservation(ctx, recorded)
		switch {
		case packet.IsNotFound(err), packet.IsForbidden(err):
			// It is gone, or out of our reach for good.
		case err != nil:
			return nil, fmt.Errorf("looking for reservation %s: %w", recorded, err)
		case elastic(*reservation) && packet.HasTags(reservation.Tags, owner.tags()...):
			existing = append(existing, *reservation)
		}
	}
	var (
		remaining []string
		errs      []error
	)
	for _, reservation := range existing {
		remaining = append(remaining, reservation.Address)
		if err := p.api.DeleteIP(ctx, reservation.ID); err != nil && !packet.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("releasing elastic IP %s: %w", reservation.Address, err))
		}
	}
	return remaining, errors.Join(errs...)
}
