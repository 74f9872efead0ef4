package devices

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	// reach is how far back the first listing of a project's events goes, and the first one after a pause: machines that boot
	// for longer are asked about one by one, once.
	reach = 20 * time.Minute
	// overlap is how far listings reach behind the newest event that is known, because several API servers of one project can
	// disagree about the time.
	overlap = 5 * time.Second
	// keep is how long it is remembered what a machine said after anybody wanted to know.
	keep = time.Hour
)

// EventReader reads what happened, newest first; packet.Client is one.
type EventReader interface {
	DeviceEvents(ctx context.Context, deviceID string, options ...packet.QueryOption) ([]packet.Event, error)
	ProjectEvents(ctx context.Context, projectID string, since time.Time, options ...packet.QueryOption) ([]packet.Event, error)
}

// Reports are what the machines of a project say about their user data. All who ask share listings of what is new in the
// project, so that a thousand machines that boot cost as many calls as one.
type Reports struct {
	reader    EventReader
	projectID string
	clock     packet.Clock
	listings  *packet.ListingCache[struct{}]

	mutex sync.Mutex
	// latest has, by device, what its machine said last; an empty state if it is known that it said nothing.
	latest map[string]*report
	// since is from when on every event was seen, and newest the time of the newest one; both are the API server's time.
	since, newest time.Time
	// listed is when the last listing began, by our own time.
	listed time.Time
}

type report struct {
	// at is the API server's time, wanted is ours.
	at, wanted     time.Time
	state, message string
}

// NewReports makes Reports. A listing is shared for ttl, counted from when it began.
func NewReports(reader EventReader, projectID string, ttl time.Duration, clock packet.Clock) *Reports {
	r := &Reports{reader: reader, projectID: projectID, clock: clock, latest: map[string]*report{}}
	r.listings = packet.NewListingCache(func(ctx context.Context) (struct{}, error) { return struct{}{}, r.list(ctx) },
		"the list of the project's events", ttl, clock)
	return r
}

// Bootstrap tells what the machine of a device last said about its user data: one of the states BootstrapRunning,
// BootstrapSucceeded and BootstrapFailed and the message that came with it, or an empty state if it said nothing.
func (r *Reports) Bootstrap(ctx context.Context, device *packet.Device) (state, message string, err error) {
	if _, err := r.listings.Recent(ctx); err != nil {
		return "", "", err
	}
	if said, known := r.of(device); known {
		return said.state, said.message, nil
	}
	return r.Ask(ctx, device)
}

// Ask is Bootstrap with the device's own events, which costs a call: for a device that is older than what was listed, and
// where an event that was missed would do harm.
func (r *Reports) Ask(ctx context.Context, device *packet.Device) (state, message string, err error) {
	events, err := r.reader.DeviceEvents(ctx, device.ID)
	if err != nil {
		return "", "", err
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	said := &report{wanted: r.clock.Now()}
	for n := range events {
		if event := &events[n]; isReport(event) {
			said.at, said.state, said.message = event.CreatedAt.Time, event.State, event.Body
			break
		}
	}
	// A listing that began later can be done already.
	if known := r.latest[key(device.ID)]; known != nil && known.at.After(said.at) {
		return known.state, known.message, nil
	}
	r.latest[key(device.ID)] = said
	return said.state, said.message, nil
}

// of is what is known of a device; false if nothing is known.
func (r *Reports) of(device *packet.Device) (report, bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if said := r.latest[key(device.ID)]; said != nil {
		said.wanted = r.clock.Now()
		return *said, true
	}
	// All that happened to a device that was made since then was seen, and its machine said nothing.
	return report{}, device.CreatedAt != nil && device.CreatedAt.After(r.since)
}

// list reads what is new. There is only one at a time.
func (r *Reports) list(ctx context.Context) error {
	r.mutex.Lock()
	began, since := r.clock.Now(), r.newest.Add(-overlap)
	paused := began.Sub(r.listed) > reach
	if paused {
		since = began.Add(-reach)
	}
	r.mutex.Unlock()
	events, err := r.reader.ProjectEvents(ctx, r.projectID, since)
	if err != nil {
		return err
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.listed = began; paused {
		// What was said in between is not known.
		r.since, r.newest, r.latest = since, since, map[string]*report{}
	}
	for n := len(events) - 1; n >= 0; n-- {
		event := &events[n]
		if event.CreatedAt == nil {
			continue
		}
		if event.CreatedAt.After(r.newest) {
			r.newest = event.CreatedAt.Time
		}
		id := key(event.DeviceID())
		if id == "" || !isReport(event) {
			continue
		}
		said := r.latest[id]
		if said == nil {
			said = &report{wanted: r.clock.Now()}
			r.latest[id] = said
		}
		// Those of one second come in their order, and some of them come again in the next listing.
		if !event.CreatedAt.Before(said.at) {
			said.at, said.state, said.message = event.CreatedAt.Time, event.State, event.Body
		}
	}
	r.forget()
	return nil
}

// forget drops what nobody wanted to know for long. The caller holds the lock.
func (r *Reports) forget() {
	if horizon := r.newest.Add(-keep); horizon.After(r.since) {
		r.since = horizon
	}
	for id, said := range r.latest {
		// Whoever asks for an older one after all is told by the device's own events.
		if said.at.Before(r.since) && r.clock.Now().Sub(said.wanted) > keep {
			delete(r.latest, id)
		}
	}
}

// isReport tells whether an event is what a machine said about its user data.
func isReport(event *packet.Event) bool {
	return strings.HasPrefix(event.Type, packet.EventUserTypePrefix) && event.State != "" && event.CreatedAt != nil
}

func key(deviceID string) string { return strings.ToLower(deviceID) }
