package loadbalancers

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/packetyard/packetyard/pkg/packet"
)

// reservations are the addresses of the project. All changes go through it,
// so that the shared listing knows of them.
type reservations struct {
	api       API
	projectID string
	listing   *packet.IPReservationCache
	// readCluster reads the tag of this cluster, which is read once.
	readCluster func(ctx context.Context) (string, error)

	mu      sync.Mutex
	cluster string
}

// clusterTag is the tag of this cluster.
func (r *reservations) clusterTag(ctx context.Context) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cluster == "" {
		tag, err := r.readCluster(ctx)
		if err != nil {
			return "", err
		}
		r.cluster = tag
	}
	return r.cluster, nil
}

// owned are the reservations of a Service or a sharing key of this cluster,
// oldest first.
func (r *reservations) owned(ctx context.Context, owner string) ([]packet.IPReservation, error) {
	cluster, err := r.clusterTag(ctx)
	if err != nil {
		return nil, err
	}
	all, err := r.all(ctx)
	if err != nil {
		return nil, err
	}
	var owned []packet.IPReservation
	for _, reservation := range all {
		if slices.Contains(ownersOf(&reservation, cluster), owner) {
			owned = append(owned, reservation)
		}
	}
	slices.SortStableFunc(owned, oldestFirst)
	return owned, nil
}

func oldestFirst(a, b packet.IPReservation) int {
	if a.CreatedAt != nil && b.CreatedAt != nil {
		if c := a.CreatedAt.Compare(b.CreatedAt.Time); c != 0 {
			return c
		}
	}
	return strings.Compare(a.ID, b.ID)
}

func (r *reservations) all(ctx context.Context) ([]packet.IPReservation, error) {
	all, err := r.listing.Recent(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the IP reservations of project %s: %w", r.projectID, err)
	}
	return all, nil
}

// create reserves one address for an owner. The caller has found none of its
// own by the same listing.
func (r *reservations) create(ctx context.Context, owner, ipType, metro, facility string) (*packet.IPReservation, error) {
	cluster, err := r.clusterTag(ctx)
	if err != nil {
		return nil, err
	}
	if ipType == packet.IPTypeGlobalIPv4 {
		metro, facility = "", ""
	}
	reservation, err := r.api.CreateIPReservation(ctx, r.projectID, packet.IPReservationCreate{
		Type:     ipType,
		Quantity: 1,
		Metro:    metro,
		Facility: facility,
		Details:  details,
		Tags:     ownedBy(owner, cluster),
		// Nobody is there to wait for a person's approval.
		FailOnApprovalRequired: true,
	})
	if err != nil {
		// It may have been carried out. The next listing tells.
		r.listing.Forget()
		return nil, fmt.Errorf("reserving an address of type %s: %w", ipType, err)
	}
	r.listing.Created(*reservation)
	return reservation, nil
}

// release gives reservations back. One that is gone already is as good as
// released.
func (r *reservations) release(ctx context.Context, reservation *packet.IPReservation) error {
	if err := r.api.DeleteIP(ctx, reservation.ID); err != nil && !packet.IsNotFound(err) {
		r.listing.Forget()
		return fmt.Errorf("releasing address %s (reservation %s): %w", reservation.Address, reservation.ID, err)
	}
	r.listing.Released(reservation.ID)
	return nil
}

// block is the addresses of a reservation.
func block(r *packet.IPReservation) (netip.Prefix, bool) {
	base := r.Network
	if base == "" {
		base = r.Address
	}
	address, err := netip.ParseAddr(base)
	if err != nil {
		return netip.Prefix{}, false
	}
	prefix, err := address.Unmap().Prefix(r.CIDR)
	return prefix, err == nil
}

// firstAddress is the first usable address of a reservation.
func firstAddress(r *packet.IPReservation) (netip.Addr, error) {
	address, err := netip.ParseAddr(r.Address)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("reservation %s has address %q, which is none", r.ID, r.Address)
	}
	return address.Unmap(), nil
}

// isIn tells whether a reservation is where a Service's annotations say. Those
// of the controller are for new reservations only: changing its metro must not
// take all Services their addresses.
func isIn(r *packet.IPReservation, metro, facility string) bool {
	if r.Type == packet.IPTypeGlobalIPv4 {
		return true
	}
	switch {
	case metro != "":
		return r.Metro != nil && strings.EqualFold(r.Metro.Code, metro)
	case facility != "":
		return r.Facility != nil && strings.EqualFold(r.Facility.Code, facility)
	}
	return true
}

// where is a reservation's location for people.
func where(r *packet.IPReservation) string {
	switch {
	case r.Facility != nil && r.Facility.Code != "":
		return "facility " + r.Facility.Code
	case r.Metro != nil && r.Metro.Code != "":
		return "metro " + r.Metro.Code
	}
	return "all metros"
}
