package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// describe lists a table's rows, and fails where two ways to ask for the same
// differ.
func describe[T any](t *testing.T, what string, table *Table[T], groups []string) string {
	t.Helper()
	all := table.All()
	if table.Len() != len(all) {
		t.Fatalf("%s: %d rows, and it counts %d", what, len(all), table.Len())
	}
	if !slices.IsSortedFunc(all, byCreation[T]) {
		t.Fatalf("%s: the rows are not in the order of creation", what)
	}
	var text strings.Builder
	for _, row := range all {
		if found, ok := table.Get(table.id(row.Value)); !ok || found != row {
			t.Fatalf("%s: %s is not found by its ID", what, row.key)
		}
		if found, ok := table.at(row.key); !ok || found != row {
			t.Fatalf("%s: %s is not found by its key", what, row.key)
		}
		fmt.Fprintf(&text, "%s ", row.key)
	}
	for _, group := range groups {
		var want []*Row[T]
		for _, row := range all {
			if slices.Contains(table.groups(row.Value), group) {
				want = append(want, row)
			}
		}
		count := table.Count(group)
		if got := table.In(group); !slices.Equal(got, want) || count != len(want) || table.Count(group) != count {
			t.Fatalf("%s: group %s has %d rows and counts %d, want %d", what, group, len(got), count, len(want))
		}
	}
	return text.String()
}

// change makes a random change of a few devices and their addresses.
func randomChange(random *rand.Rand, tx *Tx) {
	for range 1 + random.IntN(3) {
		id := fmt.Sprintf("device-%d", random.IntN(40))
		project := fmt.Sprintf("p%d", random.IntN(4))
		row, exists := tx.Devices.Get(id)
		switch {
		case !exists:
			tx.Devices.Create(tx, &Device{ID: id, ProjectID: project})
		case random.IntN(3) == 0:
			tx.Devices.Delete(tx, row)
			tx.DeleteEventsOf(id)
			for _, assignment := range tx.Assignments.In(OfDevice(id)) {
				tx.Assignments.Delete(tx, assignment)
			}
			return
		default:
			device := *row.Value
			device.ProjectID = project
			device.Installation++
			tx.Devices.Update(tx, row, &device)
			tx.Events.Create(tx, &Event{ID: fmt.Sprintf("event-%d", random.Int64()), DeviceID: id})
			block := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 0, byte(random.IntN(64))}), 32)
			if !tx.AddressTaken(block) && tx.written[tx.Assignments.prefix+blockKey(block)] == 0 {
				tx.RequireFreeAddress(block, 24)
				tx.Assignments.Create(tx, &Assignment{ID: block.String(), DeviceID: id, Block: block, Address: block.Addr()})
			}
			return
		}
	}
}

// TestTheIndexIsWhatIsInEtcd makes random changes, many in one transaction of
// etcd, and compares the index, which followed them one by one, with one that
// is read anew. Each change is decided on with an index that has those before
// it, and that must be whole.
func TestTheIndexIsWhatIsInEtcd(t *testing.T) {
	s, err := Open(t.Context(), Config{DataDir: t.TempDir(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	random := rand.New(rand.NewPCG(1, 2))
	groups := []string{InProject("p0"), InProject("p1"), InProject("p2"), InProject("p3"), OfDevice("device-1"), OfDevice("device-2")}
	look := func(what string, snapshot *Snapshot) string {
		return describe(t, what, &snapshot.Devices, groups) + describe(t, what, &snapshot.Assignments, groups) +
			describe(t, what, &snapshot.Events, groups)
	}
	together := 0
	for round := range 150 {
		var updates []*update
		for range 1 + random.IntN(12) {
			updates = append(updates, &update{ctx: context.Background(), done: make(chan struct{}), fn: func(tx *Tx) error {
				look("overlay", tx.Snapshot)
				randomChange(random, tx)
				return nil
			}})
		}
		for waiting := updates; len(waiting) > 0; {
			again := s.commit(waiting)
			together = max(together, len(waiting)-len(again))
			waiting = again
		}
		for _, u := range updates {
			if <-u.done; u.err != nil || u.panicked != nil {
				t.Fatal(u.err, u.panicked)
			}
		}
		if round%10 > 0 {
			continue
		}
		fresh := newSnapshot()
		fresh.load(true)
		if _, err := s.readAll(t.Context(), fresh); err != nil {
			t.Fatal(err)
		}
		fresh.load(false)
		if got, want := look("index", s.snapshot), look("etcd", fresh); got != want {
			t.Fatalf("the index has\n%s\nand etcd\n%s", got, want)
		}
	}
	if together < 5 {
		t.Errorf("at most %d updates were written together", together)
	}
}

// TestUpdatesThatRestOnEachOtherAreWrittenTogether has a hundred updates count
// in one record: each sees the one before it, and etcd sees one transaction.
func TestUpdatesThatRestOnEachOtherAreWrittenTogether(t *testing.T) {
	s, err := Open(t.Context(), Config{DataDir: t.TempDir(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var updates []*update
	for i := range 100 {
		updates = append(updates, &update{ctx: context.Background(), done: make(chan struct{}), fn: func(tx *Tx) error {
			row, ok := tx.Devices.Get("d")
			if ok != (i > 0) {
				t.Errorf("update %d finds it: %v", i, ok)
			}
			if !ok {
				tx.Devices.Create(tx, &Device{ID: "d"})
				return nil
			}
			device := *row.Value
			device.Installation++
			tx.Devices.Update(tx, row, &device)
			return nil
		}})
	}
	if again := s.commit(updates); len(again) > 0 {
		t.Fatalf("%d updates are to be tried again", len(again))
	}
	s.Peek(func(snapshot *Snapshot) {
		row, ok := snapshot.Devices.Get("d")
		if !ok || row.Value.Installation != 99 || row.created != row.modified {
			t.Errorf("it is %+v", row)
		}
	})
}

// TestAPanicInAnUpdateIsItsCallers has the others go on.
func TestAPanicInAnUpdateIsItsCallers(t *testing.T) {
	s, err := Open(t.Context(), Config{DataDir: t.TempDir(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	func() {
		defer func() {
			if recover() != "mine" {
				t.Error("the panic did not reach its caller")
			}
		}()
		_ = s.Update(t.Context(), func(*Tx) error { panic("mine") })
	}()
	if err := s.Update(t.Context(), func(tx *Tx) error {
		tx.Projects.Create(tx, &Project{ID: "p"})
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// TestAReloadTellsOfDevicesThatWent has what a watch that was lost did not
// see: a device that is gone by the time that all is read anew.
func TestAReloadTellsOfDevicesThatWent(t *testing.T) {
	s, err := Open(t.Context(), Config{DataDir: t.TempDir(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	feed := s.Subscribe()
	// The index has a device that etcd does not.
	s.mu.Lock()
	s.snapshot.Devices.put(&Row[Device]{Value: &Device{ID: "gone"}, key: "gone", created: 1, modified: 1})
	clear(s.snapshot.touched)
	s.mu.Unlock()
	if _, err := s.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := feed.Take(); !slices.Equal(got, []string{"gone"}) {
		t.Errorf("the feed gives %v, want the device that went", got)
	}
	s.Peek(func(snapshot *Snapshot) {
		if snapshot.Devices.Len() != 0 {
			t.Error("the device is still there")
		}
	})
}

// TestAnInvalidUpdateHarmsNoOther has one that etcd does not take, since it
// puts a key into a range that it deletes, be decided on with others.
func TestAnInvalidUpdateHarmsNoOther(t *testing.T) {
	s, err := Open(t.Context(), Config{DataDir: t.TempDir(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var updates []*update
	for i := range 9 {
		updates = append(updates, &update{ctx: context.Background(), done: make(chan struct{}), fn: func(tx *Tx) error {
			if i == 4 {
				tx.DeleteEventsOf("d")
				tx.Events.Create(tx, &Event{ID: "e", DeviceID: "d"})
			}
			tx.Projects.Create(tx, &Project{ID: fmt.Sprint(i)})
			return nil
		}})
	}
	for waiting := updates; len(waiting) > 0; {
		waiting = s.commit(waiting)
	}
	for i, u := range updates {
		if <-u.done; (u.err != nil) != (i == 4) {
			t.Errorf("update %d: %v", i, u.err)
		}
	}
	s.Peek(func(snapshot *Snapshot) {
		if snapshot.Projects.Len() != 8 {
			t.Errorf("there are %d projects, want 8", snapshot.Projects.Len())
		}
	})
}
