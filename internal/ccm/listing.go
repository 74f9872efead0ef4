package ccm

import (
	"context"
	"sync"
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
)

// outageTTL is for how long a listing that failed is not tried again. While
// the API is down, a round over a thousand nodes that are not ready would
// otherwise be a thousand times the client's attempts and waits.
const outageTTL = 5 * time.Second

// patientListing remembers for a short time that the listing failed. A failure
// stays an error to whoever asks: it never becomes an older answer.
type patientListing struct {
	next  deviceListing
	clock packet.Clock

	mu    sync.Mutex
	err   error
	until time.Time
}

func newPatientListing(next deviceListing, clock packet.Clock) *patientListing {
	return &patientListing{next: next, clock: clock}
}

// Recent implements deviceListing.
func (l *patientListing) Recent(ctx context.Context) (*packet.DeviceSnapshot, error) {
	return l.ask(ctx, l.next.Recent)
}

// Fresh implements deviceListing.
func (l *patientListing) Fresh(ctx context.Context) (*packet.DeviceSnapshot, error) {
	return l.ask(ctx, l.next.Fresh)
}

// Since implements deviceListing.
func (l *patientListing) Since(ctx context.Context, moment time.Time) (*packet.DeviceSnapshot, error) {
	return l.ask(ctx, func(ctx context.Context) (*packet.DeviceSnapshot, error) { return l.next.Since(ctx, moment) })
}

func (l *patientListing) ask(ctx context.Context, list func(context.Context) (*packet.DeviceSnapshot, error)) (*packet.DeviceSnapshot, error) {
	l.mu.Lock()
	if l.err != nil && l.clock.Now().Before(l.until) {
		defer l.mu.Unlock()
		return nil, l.err
	}
	l.mu.Unlock()
	listing, err := list(ctx)
	if err != nil && ctx.Err() != nil {
		// The caller has gone away, which says nothing about the API.
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err, l.until = err, l.clock.Now().Add(outageTTL)
	return listing, err
}
