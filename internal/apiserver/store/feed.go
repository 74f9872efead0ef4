package store

import (
	"slices"
	"sync"
)

// Feed tells which devices changed, were given or lost an address, or had an
// event. A device that changes twice before anybody looks is told once.
type Feed struct {
	mu      sync.Mutex
	devices map[string]struct{}
	changed chan struct{}
}

// Subscribe returns a feed that begins with all devices there are.
func (s *Store) Subscribe() *Feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	feed := &Feed{devices: map[string]struct{}{}, changed: make(chan struct{}, 1)}
	all := make(map[string]struct{}, s.snapshot.Devices.Len())
	for _, row := range s.snapshot.Devices.All() {
		all[row.Value.ID] = struct{}{}
	}
	feed.add(all)
	s.feeds = append(s.feeds, feed)
	return feed
}

// Changed receives when Take has something to give.
func (f *Feed) Changed() <-chan struct{} {
	return f.changed
}

// Take returns the IDs of the devices that changed since it was last called.
func (f *Feed) Take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := make([]string, 0, len(f.devices))
	for id := range f.devices {
		ids = append(ids, id)
	}
	clear(f.devices)
	return ids
}

func (f *Feed) add(devices map[string]struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range devices {
		f.devices[id] = struct{}{}
	}
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// Unsubscribe ends a feed.
func (s *Store) Unsubscribe(feed *Feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feeds = slices.DeleteFunc(s.feeds, func(other *Feed) bool { return other == feed })
}
