package lifecycle

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// TestProvisioningEventsKeepTheirIDs asks for the events of an installation
// while they stand in the device, and after another one made records of them.
func TestProvisioningEventsKeepTheirIDs(t *testing.T) {
	records, err := store.Open(t.Context(), store.Config{DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	update := func(fn func(*store.Tx)) {
		t.Helper()
		if err := records.Update(t.Context(), func(tx *store.Tx) error { fn(tx); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	list := func() (events []string) {
		records.Peek(func(s *store.Snapshot) {
			device := s.Devices.All()[0]
			for _, row := range EventsOf(s, device.Value) {
				events = append(events, row.Value.Type+" "+row.Value.ID)
				found, ok := FindEvent(s, row.Value.ID)
				if !ok || found.Value.Type != row.Value.Type || !found.Value.CreatedAt.Equal(row.Value.CreatedAt) {
					t.Errorf("by its ID, %s %s is %+v", row.Value.Type, row.Value.ID, found)
				}
			}
			latest, total := LatestEvents(s, s.Devices.All(), 0, 100)
			if total != len(events) || len(latest) != total {
				t.Fatalf("there are %d of %d latest events, want %d", len(latest), total, len(events))
			}
			for i, row := range latest {
				if got, want := row.Value.Type+" "+row.Value.ID, events[total-1-i]; got != want {
					t.Errorf("the %dth latest event is %s, want %s", i, got, want)
				}
			}
			if page, _ := LatestEvents(s, s.Devices.All(), 2, 1); total > 2 && page[0].Value.ID != latest[2].Value.ID {
				t.Errorf("the third event, asked for alone, is %s", page[0].Value.Type)
			}
		})
		return events
	}

	began := time.Date(2026, 6, 30, 12, 0, 0, 0, time.UTC)
	update(func(tx *store.Tx) {
		device := &store.Device{ID: uuid.NewString(), ProjectID: "p"}
		Queue(device, began)
		for step := range 4 {
			device.SetStep(step, began.Add(time.Second))
		}
		tx.Devices.Create(tx, device)
	})
	before := list()
	if len(before) != 4 {
		t.Fatalf("the events are %v, want four", before)
	}
	update(func(tx *store.Tx) {
		row := tx.Devices.All()[0]
		Reinstall(tx, row, func(*store.Device) {}, began.Add(time.Minute))
	})
	if after := list(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("after another installation began the events are\n%v, and were\n%v", after, before)
	}
	update(func(tx *store.Tx) {
		row := tx.Devices.All()[0]
		device := *row.Value
		device.SetStep(0, began.Add(2*time.Minute))
		tx.Devices.Update(tx, row, &device)
	})
	if after := list(); len(after) != 5 || after[4][:16] != packet.EventProvisioningStarted {
		t.Errorf("with the first step of the second installation the events are %v", after)
	}
	records.Peek(func(s *store.Snapshot) {
		for _, id := range []string{"", "no", uuid.NewString(), "0197c0de-0000-8000-8000-000000000000"} {
			if _, ok := FindEvent(s, id); ok {
				t.Errorf("there is an event %q", id)
			}
		}
	})
}
