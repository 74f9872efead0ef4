package lifecycle

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/internal/machines/none"
)

// waits is a clock that tells what is waited for, and never rings.
type waits chan time.Duration

func (waits) Now() time.Time { return time.Date(2026, 6, 30, 12, 0, 0, 0, time.UTC) }

func (w waits) After(d time.Duration) <-chan time.Time {
	w <- d
	return nil
}

// TestWhatCannotBeRecordedIsNotTriedAgainAtOnce has a worker whose store
// refuses to write, which made it try again without any pause.
func TestWhatCannotBeRecordedIsNotTriedAgainAtOnce(t *testing.T) {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	records, err := store.Open(t.Context(), store.Config{DataDir: t.TempDir(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	clock := make(waits, 1)
	if err := records.Update(t.Context(), func(tx *store.Tx) error {
		device := &store.Device{ID: "d", ProjectID: "p"}
		Queue(device, clock.Now())
		tx.Devices.Create(tx, device)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	// A closed store is still read, but no longer written.
	records.Close()

	worker := New(Config{
		Store: records, Driver: none.New(), Catalogue: catalogue.New(), Clock: clock, Profile: Instant, Logger: quiet,
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer worker.wait.Wait()
	defer cancel()
	worker.look(ctx, "d")
	select {
	case wait := <-clock:
		if wait != firstRetry {
			t.Errorf("it waits %v before it tries again, want %v", wait, firstRetry)
		}
	case <-time.After(20 * time.Second):
		t.Error("it tries again without waiting")
	}
}
