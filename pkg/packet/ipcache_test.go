package packet

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowIPLister lists what it has after a second of the test's own time.
type slowIPLister struct {
	mu           sync.Mutex
	listings     int
	reservations []IPReservation
	err          error
}

func (l *slowIPLister) IPReservations(ctx context.Context, _ string, _ ...QueryOption) ([]IPReservation, error) {
	l.mu.Lock()
	l.listings++
	reservations, err := append([]IPReservation{}, l.reservations...), l.err
	l.mu.Unlock()
	if sleepErr := (SystemClock{}).Sleep(ctx, time.Second); sleepErr != nil {
		return nil, sleepErr
	}
	return reservations, err
}

func (l *slowIPLister) set(err error, ids ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err, l.reservations = err, nil
	for _, id := range ids {
		l.reservations = append(l.reservations, IPReservation{ID: id})
	}
}

// ipCacheTest is a cache with a time to live of 10 s.
func ipCacheTest(t *testing.T, test func(t *testing.T, lister *slowIPLister, cache *IPReservationCache)) {
	synctest.Test(t, func(t *testing.T) {
		lister := &slowIPLister{}
		lister.set(nil, "a", "b")
		test(t, lister, NewIPReservationCache(lister, testProject, 10*time.Second, SystemClock{}))
	})
}

func wantReservations(t *testing.T, cache *IPReservationCache, lister *slowIPLister, listings int, ids ...string) {
	t.Helper()
	got, err := cache.Recent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, reservation := range got {
		have = append(have, reservation.ID)
	}
	if len(have) != len(ids) {
		t.Fatalf("got %v, want %v", have, ids)
	}
	for i := range ids {
		if have[i] != ids[i] {
			t.Fatalf("got %v, want %v", have, ids)
		}
	}
	if lister.listings != listings {
		t.Errorf("%d listings, want %d", lister.listings, listings)
	}
}

func TestReservationsAreListedOnceForAllWhoAsk(t *testing.T) {
	ipCacheTest(t, func(t *testing.T, lister *slowIPLister, cache *IPReservationCache) {
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				if got, err := cache.Recent(t.Context()); err != nil || len(got) != 2 {
					t.Errorf("got %v, %v", got, err)
				}
			})
		}
		group.Wait()
		wantReservations(t, cache, lister, 1, "a", "b")
		time.Sleep(9 * time.Second)
		lister.set(nil, "c")
		wantReservations(t, cache, lister, 2, "c")
	})
}

func TestAFailedListingOfReservationsIsAnError(t *testing.T) {
	ipCacheTest(t, func(t *testing.T, lister *slowIPLister, cache *IPReservationCache) {
		wantReservations(t, cache, lister, 1, "a", "b")
		time.Sleep(10 * time.Second)
		outage := errors.New("outage")
		lister.set(outage)
		if got, err := cache.Recent(t.Context()); !errors.Is(err, outage) || got != nil {
			t.Errorf("got %v, %v", got, err)
		}
		lister.set(nil, "a")
		wantReservations(t, cache, lister, 3, "a")
	})
}

func TestOwnChangesOfReservationsAreSeenAtOnce(t *testing.T) {
	ipCacheTest(t, func(t *testing.T, lister *slowIPLister, cache *IPReservationCache) {
		before, err := cache.Recent(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cache.Created(IPReservation{ID: "c"})
		cache.Released("a")
		wantReservations(t, cache, lister, 1, "b", "c")
		if len(before) != 2 || before[0].ID != "a" {
			t.Errorf("a listing that somebody holds was changed: %v", before)
		}
		cache.Forget()
		wantReservations(t, cache, lister, 2, "a", "b")
		if _, err := cache.Fresh(t.Context()); err != nil || lister.listings != 3 {
			t.Errorf("%d listings, %v", lister.listings, err)
		}
	})
}

// A listing that began before a reservation was made does not know of it. Who
// asks afterwards must not be given it, or makes the reservation twice.
func TestAListingFromBeforeAChangeIsNotGivenAfterIt(t *testing.T) {
	ipCacheTest(t, func(t *testing.T, lister *slowIPLister, cache *IPReservationCache) {
		var group sync.WaitGroup
		group.Go(func() {
			if got, err := cache.Recent(t.Context()); err != nil || len(got) != 2 {
				t.Errorf("got %v, %v", got, err)
			}
		})
		synctest.Wait()
		lister.set(nil, "a", "b", "c")
		cache.Created(IPReservation{ID: "c"})
		wantReservations(t, cache, lister, 2, "a", "b", "c")
		group.Wait()
		wantReservations(t, cache, lister, 2, "a", "b", "c")
	})
}

func TestWhoWaitsForAListingCanGiveUp(t *testing.T) {
	ipCacheTest(t, func(t *testing.T, lister *slowIPLister, cache *IPReservationCache) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := cache.Recent(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		wantReservations(t, cache, lister, 1, "a", "b")
	})
}
