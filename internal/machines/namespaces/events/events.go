// Package events hands events of machines from one to many, none of whom can hold the others up.
package events

import (
	"sync"

	"github.com/packetyard/packetyard/internal/machines"
)

// Broadcaster hands events to whoever watches. Its zero value is ready.
type Broadcaster struct {
	mutex    sync.Mutex
	watchers map[*Watcher]bool
}

// Watcher is a queue without an end: who watches is a process of ours on the
// same host, and events are few.
type Watcher struct {
	// Signal receives when there is something to take.
	Signal chan struct{}

	mutex sync.Mutex
	queue []machines.Event
}

// Watch returns a queue of the events sent from now on. Forget it at the end.
func (b *Broadcaster) Watch() *Watcher {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	w := &Watcher{Signal: make(chan struct{}, 1)}
	if b.watchers == nil {
		b.watchers = map[*Watcher]bool{}
	}
	b.watchers[w] = true
	return w
}

// Forget ends a watch.
func (b *Broadcaster) Forget(w *Watcher) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	delete(b.watchers, w)
}

// Send puts an event into the queue of everybody who watches.
func (b *Broadcaster) Send(event machines.Event) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for w := range b.watchers {
		w.mutex.Lock()
		w.queue = append(w.queue, event)
		w.mutex.Unlock()
		select {
		case w.Signal <- struct{}{}:
		default:
		}
	}
}

// Take empties the queue. Wait for Signal before.
func (w *Watcher) Take() []machines.Event {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	events := w.queue
	w.queue = nil
	return events
}
