package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

func open(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{DataDir: dir, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func update(t testing.TB, s *store.Store, fn func(*store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, s *store.Store, fn func(*store.Snapshot)) {
	t.Helper()
	if err := s.Read(t.Context(), func(snapshot *store.Snapshot) error { fn(snapshot); return nil }); err != nil {
		t.Fatal(err)
	}
}

// TestUpdatesAreNotLost has many writers count in one record.
func TestUpdatesAreNotLost(t *testing.T) {
	s := open(t, t.TempDir())
	update(t, s, func(tx *store.Tx) error {
		tx.Devices.Create(tx, &store.Device{ID: "d", ProjectID: "p"})
		return nil
	})
	const writers, rounds = 8, 10
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for range rounds {
				err := s.Update(t.Context(), func(tx *store.Tx) error {
					row, _ := tx.Devices.Get("d")
					device := *row.Value
					device.Installation++
					tx.Devices.Update(tx, row, &device)
					return nil
				})
				if err != nil {
					t.Errorf("updating: %v", err)
				}
			}
		})
	}
	wait.Wait()
	read(t, s, func(snapshot *store.Snapshot) {
		row, _ := snapshot.Devices.Get("d")
		if row.Value.Installation != writers*rounds {
			t.Errorf("%d of %d updates are there", row.Value.Installation, writers*rounds)
		}
	})
}

func TestRefusedUpdatesChangeNothing(t *testing.T) {
	s := open(t, t.TempDir())
	refusal := errors.New("no")
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		tx.Projects.Create(tx, &store.Project{ID: "p"})
		return refusal
	})
	if !errors.Is(err, refusal) {
		t.Errorf("the error is %v, want the function's own", err)
	}
	read(t, s, func(snapshot *store.Snapshot) {
		if snapshot.Projects.Len() != 0 {
			t.Error("a refused update was written")
		}
	})
}

// TestBlocksDoNotOverlap writes blocks without looking whether they are free,
// as if by a process that does not know of the others yet.
func TestBlocksDoNotOverlap(t *testing.T) {
	held := []string{"198.18.1.8/30", "198.18.2.0/24", "198.18.3.77/32"}
	for block, free := range map[string]bool{
		"198.18.1.8/30": false, "198.18.1.8/32": false, "198.18.1.11/32": false, "198.18.1.8/29": false, "198.18.1.0/28": false,
		"198.18.1.12/30": true, "198.18.1.4/30": true, "198.18.1.7/32": true, "198.18.1.12/32": true,
		"198.18.2.5/32": false, "198.18.2.0/24": false, "198.18.3.0/24": false, "198.18.3.76/31": false, "198.18.3.76/32": true,
	} {
		t.Run(block, func(t *testing.T) {
			s := open(t, t.TempDir())
			for i, block := range held {
				update(t, s, func(tx *store.Tx) error {
					tx.Reservations.Create(tx, &store.Reservation{ID: fmt.Sprint(i), ProjectID: "p", Block: netip.MustParsePrefix(block)})
					return nil
				})
			}
			attempts := 0
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := s.Update(ctx, func(tx *store.Tx) error {
				if attempts++; attempts > 1 {
					return errors.New("not free")
				}
				wanted := netip.MustParsePrefix(block)
				tx.RequireFreeBlock(wanted, 24)
				tx.Reservations.Create(tx, &store.Reservation{ID: "wanted", ProjectID: "p", Block: wanted})
				return nil
			})
			if (err == nil) != free {
				t.Errorf("taking %s: %v, and it is free: %v", block, err, free)
			}
		})
	}
}

func TestRequireUnassigned(t *testing.T) {
	s := open(t, t.TempDir())
	update(t, s, func(tx *store.Tx) error {
		tx.Assignments.Create(tx, &store.Assignment{ID: "a", DeviceID: "d", Block: netip.MustParsePrefix("10.64.0.126/31"), Address: netip.MustParseAddr("10.64.0.127")})
		return nil
	})
	for block, free := range map[string]bool{"10.64.0.0/25": false, "10.64.0.128/25": true, "2001:db8::/56": true} {
		attempts := 0
		err := s.Update(t.Context(), func(tx *store.Tx) error {
			if attempts++; attempts > 1 {
				return errors.New("assigned")
			}
			tx.RequireUnassigned(netip.MustParsePrefix(block))
			tx.Projects.Create(tx, &store.Project{ID: block})
			return nil
		})
		if (err == nil) != free {
			t.Errorf("%s: %v, and it is unassigned: %v", block, err, free)
		}
	}
}

func TestGroupsKeepTheirOrder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var want []string
	for i := range 20 {
		id := fmt.Sprintf("%02d", (i*7)%20) // Not in the order of the keys.
		want = append(want, id)
		update(t, s, func(tx *store.Tx) error {
			tx.Devices.Create(tx, &store.Device{ID: id, ProjectID: "p"})
			return nil
		})
	}
	update(t, s, func(tx *store.Tx) error {
		row, _ := tx.Devices.Get(want[3])
		device := *row.Value
		device.Hostname = "changed"
		tx.Devices.Update(tx, row, &device)
		gone, _ := tx.Devices.Get(want[5])
		tx.Devices.Delete(tx, gone)
		return nil
	})
	want = slices.Delete(want, 5, 6)
	check := func(s *store.Store) {
		t.Helper()
		read(t, s, func(snapshot *store.Snapshot) {
			var got []string
			for _, row := range snapshot.Devices.In(store.InProject("p")) {
				got = append(got, row.Value.ID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("the order is %v, want that of creation, %v", got, want)
			}
		})
	}
	check(s)
	s.Close()
	check(open(t, dir))
}

func TestEncodedFollowsWhatItRefersTo(t *testing.T) {
	s := open(t, t.TempDir())
	update(t, s, func(tx *store.Tx) error {
		tx.Devices.Create(tx, &store.Device{ID: "d", ProjectID: "p"})
		return nil
	})
	times := 0
	encode := func() ([]byte, error) { times++; return []byte("x"), nil }
	look := func() {
		read(t, s, func(snapshot *store.Snapshot) {
			row, _ := snapshot.Devices.Get("d")
			if _, err := row.Encoded(encode); err != nil {
				t.Error(err)
			}
		})
	}
	look()
	look()
	if times != 1 {
		t.Errorf("encoded %d times for two looks, want 1", times)
	}
	update(t, s, func(tx *store.Tx) error {
		tx.Assignments.Create(tx, &store.Assignment{ID: "a", DeviceID: "d", Block: netip.MustParsePrefix("198.18.1.1/32"), Address: netip.MustParseAddr("198.18.1.1")})
		return nil
	})
	look()
	if times != 2 {
		t.Errorf("encoded %d times after an address came, want 2", times)
	}
}

func TestFeed(t *testing.T) {
	s := open(t, t.TempDir())
	create := func(id string) {
		update(t, s, func(tx *store.Tx) error {
			tx.Devices.Create(tx, &store.Device{ID: id})
			return nil
		})
	}
	create("before")
	feed := s.Subscribe()
	expect := func(want ...string) {
		t.Helper()
		<-feed.Changed()
		got := feed.Take()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("the feed gives %v, want %v", got, want)
		}
	}
	expect("before")
	create("one")
	create("two")
	expect("one", "two")
	update(t, s, func(tx *store.Tx) error {
		tx.Events.Create(tx, &store.Event{ID: "e", DeviceID: "one"})
		return nil
	})
	expect("one")
	s.Unsubscribe(feed)
	create("three")
	if got := feed.Take(); len(got) != 0 {
		t.Errorf("a feed that ended gives %v", got)
	}
}

// TestAClosedStoreRefuses checks that nobody waits for what cannot come.
func TestAClosedStoreRefuses(t *testing.T) {
	s := open(t, t.TempDir())
	s.Close()
	if err := s.Update(t.Context(), func(tx *store.Tx) error {
		tx.Projects.Create(tx, &store.Project{ID: "p"})
		return nil
	}); err == nil {
		t.Error("a closed store took an update")
	}
}

// TestADataDirectoryIsOfOneServer opens what is open already. etcd alone would
// wait for its files without end.
func TestADataDirectoryIsOfOneServer(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	_, err := store.Open(t.Context(), store.Config{DataDir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "in use by another server") {
		t.Fatalf("opening it again: %v, want an error that names the directory", err)
	}
	first.Close()
	open(t, dir)
}

// TestARecordThatEtcdDoesNotTake is larger than etcd's limit.
func TestARecordThatEtcdDoesNotTake(t *testing.T) {
	s := open(t, t.TempDir())
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		tx.Projects.Create(tx, &store.Project{ID: "p", Name: strings.Repeat("x", 2<<20)})
		return nil
	})
	if !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("writing it: %v, want %v", err, store.ErrTooLarge)
	}
}
