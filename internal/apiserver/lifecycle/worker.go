package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"os"
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
	// Elected, unless it is nil, is called each time that this worker is
	// elected, and works beside it until its context ends.
	Elected func(ctx context.Context, leadership *store.Leadership)
}

// Worker advances devices and drives their machines. Of all the workers on a
// store the elected one alone does anything.
type Worker struct {
	Config

	// leadership fences what is written; it is nil outside of Run.
	leadership *store.Leadership
	wait       sync.WaitGroup
	mu         sync.Mutex
	agents     agents
	// addresses are digests of those that the driver was last told of.
	addresses map[string]uint64
	seed      maphash.Seed
	// early are the machines that went off before their boot was recorded.
	early map[string]machines.Event
}

// New returns a Worker that does nothing until Run.
func New(cfg Config) *Worker {
	w := &Worker{Config: cfg, seed: maphash.MakeSeed()}
	w.begin(nil)
	return w
}

// begin forgets what was known of the machines before another process had
// them.
func (w *Worker) begin(leadership *store.Leadership) {
	w.leadership = leadership
	w.agents = newAgents()
	w.addresses = map[string]uint64{}
	w.early = map[string]machines.Event{}
}

// Run works whenever this worker is the elected one, until the context ends.
// It calls ready each time that it is known who does the work: when another
// one does, or when this one knows what the machines did in the meantime.
func (w *Worker) Run(ctx context.Context, ready func()) error {
	for {
		leadership := w.elect(ctx, ready)
		if leadership == nil {
			return nil
		}
		w.Logger.InfoContext(ctx, "This server drives the machines from now on.")
		err := w.lead(ctx, leadership, ready)
		leadership.Resign()
		if ctx.Err() != nil || err != nil {
			return err
		}
		w.Logger.WarnContext(ctx, "This server does not drive the machines any more: its lease is over.")
	}
}

// elect waits until this worker is the elected one, and returns nil if the
// context ends before.
func (w *Worker) elect(ctx context.Context, ready func()) *store.Leadership {
	for ctx.Err() == nil {
		leadership, err := w.Store.Lead(ctx, w.name(), ready)
		if err == nil {
			return leadership
		}
		if ctx.Err() == nil {
			w.Logger.WarnContext(ctx, "The election failed; trying again.", "in", firstRetry, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-w.Clock.After(firstRetry):
		}
	}
	return nil
}

// name says to people who look into etcd which process is elected.
func (w *Worker) name() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

// lead works until the context or the leadership ends.
func (w *Worker) lead(ctx context.Context, leadership *store.Leadership, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer w.wait.Wait()
	defer cancel()
	w.begin(leadership)
	if w.Elected != nil {
		w.wait.Go(func() { w.Elected(ctx, leadership) })
	}

	feed := w.Store.Subscribe()
	defer w.Store.Unsubscribe(feed)
	// Watching before listing leaves no gap between the two.
	events, err := w.Driver.Watch(ctx)
	if err != nil {
		return fmt.Errorf("watching the machines: %w", err)
	}
	if err := w.takeOver(ctx); err != nil {
		if over(leadership) || errors.Is(err, store.ErrNotLeader) || errors.Is(err, store.ErrUnavailable) {
			w.Logger.WarnContext(ctx, "The machines were not taken over; trying again.", "error", err)
			return nil
		}
		return fmt.Errorf("taking over the machines: %w", err)
	}
	ready()

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-leadership.Done():
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

func over(leadership *store.Leadership) bool {
	select {
	case <-leadership.Done():
		return true
	default:
		return false
	}
}

// write changes records, if this worker is still the elected one.
func (w *Worker) write(ctx context.Context, fn func(*store.Tx) error) error {
	if w.leadership == nil {
		return w.Store.Update(ctx, fn)
	}
	return w.leadership.Update(ctx, fn)
}
