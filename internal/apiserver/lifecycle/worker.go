package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/internal/machines"
)

// How long the worker waits before it tries again what failed.
const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Config is what a Worker works with.
type Config struct {
	Store     *store.Store
	Driver    machines.Driver
	Catalogue *catalogue.Catalogue
	Clock     Clock
	Profile   Profile
	Logger    *slog.Logger
}

// Worker advances devices and drives their machines. There must be one for
// all API servers that share a store.
type Worker struct {
	Config

	wait sync.WaitGroup
	mu   sync.Mutex
	// agents are the devices that something is being done about, or waited
	// for. The channel holds one request to look again.
	agents map[string]chan struct{}
	// addresses are those that the driver was last told of.
	addresses map[string][]machines.Address
	// early are the machines that went off before their boot was recorded.
	early map[string]machines.Event
}

// New returns a Worker that does nothing until Run.
func New(cfg Config) *Worker {
	return &Worker{
		Config:    cfg,
		agents:    map[string]chan struct{}{},
		addresses: map[string][]machines.Address{},
		early:     map[string]machines.Event{},
	}
}

// Run works until the context ends. It calls ready when what the machines did
// in the meantime is known.
func (w *Worker) Run(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer w.wait.Wait()
	defer cancel()

	feed := w.Store.Subscribe()
	defer w.Store.Unsubscribe(feed)
	// Watching before listing leaves no gap between the two.
	events, err := w.Driver.Watch(ctx)
	if err != nil {
		return fmt.Errorf("watching the machines: %w", err)
	}
	if err := w.takeOver(ctx); err != nil {
		return fmt.Errorf("taking over the machines: %w", err)
	}
	ready()

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-feed.Changed():
			for _, id := range feed.Take() {
				w.look(ctx, id)
			}
		case event, open := <-events:
			if !open {
				if ctx.Err() != nil {
					return nil
				}
				return errors.New("the driver stopped watching its machines")
			}
			if err := w.powerChanged(ctx, event); err != nil {
				w.Logger.ErrorContext(ctx, "A machine's power state was not recorded.", "device", event.ID, "power", event.Power, "error", err)
			}
		}
	}
}

// look makes a device's agent look at it, and begins one where there is none.
func (w *Worker) look(ctx context.Context, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	again, ok := w.agents[id]
	if !ok {
		again = make(chan struct{}, 1)
		w.agents[id] = again
		w.wait.Go(func() { w.attend(ctx, id, again) })
	}
	select {
	case again <- struct{}{}:
	default:
	}
}

// leave ends an agent, unless it was asked to look again.
func (w *Worker) leave(id string, again <-chan struct{}) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(again) > 0 {
		return false
	}
	delete(w.agents, id)
	return true
}

// next says when to look at a device again: at once, after a time, or, where
// neither is set, when it changes.
type next struct {
	now   bool
	after time.Duration
}

// attend does what there is to do about one device, one thing after the
// other, until nothing is left but to wait for a change.
func (w *Worker) attend(ctx context.Context, id string, again <-chan struct{}) {
	retry := firstRetry
	<-again
	for {
		next, err := w.advance(ctx, id)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			w.Logger.WarnContext(ctx, "A device was not advanced; trying again.", "device", id, "in", retry, "error", err)
			// What could not be done is not done at once again, whatever was to
			// come after it.
			next.now, next.after = false, retry
			retry = min(2*retry, lastRetry)
		default:
			retry = firstRetry
		}
		if next.now {
			continue
		}
		var alarm <-chan time.Time
		if next.after > 0 {
			alarm = w.Clock.After(next.after)
		} else if w.leave(id, again) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-alarm:
		case <-again:
		}
	}
}
