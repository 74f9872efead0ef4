package packet

import (
	"context"
	"sync"
	"time"
)

// ListingCache shares one listing among all who ask, so that the cost of
// asking for many things is that of the list's pages.
//
// Listings of the same age are shared. One that fails is an error to everyone
// who waits for it: an answer that has expired is never given instead.
//
// Who changes what is listed tells the cache, by Change or Forget. No answer
// that is given afterwards comes of a listing that began before.
type ListingCache[T any] struct {
	list  func(ctx context.Context) (T, error)
	what  string
	ttl   time.Duration
	clock Clock

	mu sync.Mutex
	// listing is the last one, valid from taken on; held tells whether there is one.
	listing T
	held    bool
	taken   time.Time
	// changes counts the calls of Change and Forget: a listing is kept only if
	// there was none while it was under way.
	changes uint64
	flight  *listingFlight[T]
}

// listingFlight is a listing under way. Its results are set before done closes.
type listingFlight[T any] struct {
	changes uint64
	done    chan struct{}
	listing T
	err     error
}

// NewListingCache makes a cache of what list gives, which is given for ttl,
// counted from when the listing began. What is listed is named in errors, for
// example "the list of devices".
func NewListingCache[T any](list func(ctx context.Context) (T, error), what string, ttl time.Duration, clock Clock) *ListingCache[T] {
	return &ListingCache[T]{list: list, what: what, ttl: ttl, clock: clock}
}

// Recent gives a listing that is not older than the cache's ttl, with all
// changes that the cache was told of. It is shared: nobody changes it.
func (c *ListingCache[T]) Recent(ctx context.Context) (T, error) {
	c.mu.Lock()
	if c.held && c.clock.Now().Sub(c.taken) < c.ttl {
		defer c.mu.Unlock()
		return c.listing, nil
	}
	flight := c.join(ctx)
	c.mu.Unlock()
	select {
	case <-flight.done:
		return flight.listing, flight.err
	case <-ctx.Done():
		var none T
		return none, contextError(ctx, "waiting for "+c.what, nil)
	}
}

// Fresh gives a listing that began after the call.
func (c *ListingCache[T]) Fresh(ctx context.Context) (T, error) {
	c.Forget()
	return c.Recent(ctx)
}

// Forget makes the next Recent list anew. Call it after a request of which it
// is not known whether it was carried out.
func (c *ListingCache[T]) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var none T
	c.changes++
	c.listing, c.held = none, false
}

// Change puts into the listing what was just changed in the API, which saves
// listing anew. The function returns a new listing and leaves the old one as
// it is, because others hold it.
func (c *ListingCache[T]) Change(change func(T) T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	if c.held {
		c.listing = change(c.listing)
	}
}

// join gives the listing under way, or begins one. The caller holds the lock.
func (c *ListingCache[T]) join(ctx context.Context) *listingFlight[T] {
	if c.flight != nil && c.flight.changes == c.changes {
		return c.flight
	}
	flight := &listingFlight[T]{changes: c.changes, done: make(chan struct{})}
	c.flight = flight
	// The listing belongs to everyone who waits for it, so that the one who
	// began it cannot end it.
	shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), listingTimeout)
	go func() {
		defer cancel()
		taken := c.clock.Now()
		listing, err := c.list(shared)

		c.mu.Lock()
		defer c.mu.Unlock()
		if flight.err = err; err == nil {
			flight.listing = listing
			if flight.changes == c.changes {
				c.listing, c.held, c.taken = listing, true, taken
			}
		}
		if c.flight == flight {
			c.flight = nil
		}
		close(flight.done)
	}()
	return flight
}
