package store

import "slices"

// WatchBGP returns a channel that receives at first, and whenever something
// changed that switches and devices speak BGP by: projects' configurations and
// ranges, sessions, reservations. Stop ends that.
func (s *Store) WatchBGP() (changed <-chan struct{}, stop func()) {
	watching := make(chan struct{}, 1)
	watching <- struct{}{}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bgpWatches = append(s.bgpWatches, watching)
	return watching, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.bgpWatches = slices.DeleteFunc(s.bgpWatches, func(other chan struct{}) bool { return other == watching })
	}
}

// tellBGP tells those who watch. The lock is held.
func (s *Store) tellBGP() {
	if !s.snapshot.bgpChanged {
		return
	}
	s.snapshot.bgpChanged = false
	for _, watching := range s.bgpWatches {
		select {
		case watching <- struct{}{}:
		default:
		}
	}
}
