package packet

import (
	"context"
	"slices"
	"time"
)

// IPReservationLister is what an IPReservationCache reads from; Client is one.
type IPReservationLister interface {
	IPReservations(ctx context.Context, projectID string, options ...QueryOption) ([]IPReservation, error)
}

// IPReservationCache shares one listing of a project's reservations among all
// who ask. See ListingCache for how old an answer can be.
type IPReservationCache struct {
	listing *ListingCache[[]IPReservation]
}

// NewIPReservationCache makes a cache of a project's reservations. An answer
// is given for ttl, counted from when its listing began.
func NewIPReservationCache(lister IPReservationLister, projectID string, ttl time.Duration, clock Clock, options ...QueryOption) *IPReservationCache {
	return &IPReservationCache{listing: NewListingCache(func(ctx context.Context) ([]IPReservation, error) {
		return lister.IPReservations(ctx, projectID, options...)
	}, "the list of IP reservations", ttl, clock)}
}

// Recent gives the reservations, of a listing that is not older than the
// cache's ttl. The list is shared: nobody changes it.
func (c *IPReservationCache) Recent(ctx context.Context) ([]IPReservation, error) {
	return c.listing.Recent(ctx)
}

// Fresh gives the reservations, of a listing that began after the call.
func (c *IPReservationCache) Fresh(ctx context.Context) ([]IPReservation, error) {
	return c.listing.Fresh(ctx)
}

// Forget makes the next Recent list anew. Call it when a request to create or
// release a reservation failed in a way that leaves open whether it was
// carried out.
func (c *IPReservationCache) Forget() { c.listing.Forget() }

// Created tells of a reservation that was just created.
func (c *IPReservationCache) Created(reservation IPReservation) {
	c.listing.Change(func(all []IPReservation) []IPReservation {
		return append(without(all, reservation.ID), reservation)
	})
}

// Released tells of a reservation that was just released.
func (c *IPReservationCache) Released(id string) {
	c.listing.Change(func(all []IPReservation) []IPReservation { return without(all, id) })
}

func without(all []IPReservation, id string) []IPReservation {
	return slices.DeleteFunc(slices.Clone(all), func(r IPReservation) bool { return r.ID == id })
}
