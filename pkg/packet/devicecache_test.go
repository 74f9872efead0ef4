package packet

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slowLister lists what it has after a second of the test's own time.
type slowLister struct {
	listings atomic.Int32
	mu       sync.Mutex
	devices  []Device
	err      error
}

func (l *slowLister) set(err error, devices ...Device) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.devices, l.err = devices, err
}

func (l *slowLister) Devices(ctx context.Context, _ string, _ DeviceFilter, _ ...QueryOption) ([]Device, error) {
	l.listings.Add(1)
	l.mu.Lock()
	devices, err := append([]Device{}, l.devices...), l.err
	l.mu.Unlock()
	if sleepErr := (SystemClock{}).Sleep(ctx, time.Second); sleepErr != nil {
		return nil, sleepErr
	}
	return devices, err
}

func TestAListingIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lister := &slowLister{devices: []Device{{ID: testDevice, Hostname: "Node-1", Userdata: "token", RootPassword: "x"}}}
		cache := NewDeviceCache(lister, testProject, DeviceFilter{}, 10*time.Second, SystemClock{})
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				snapshot, err := cache.Recent(t.Context())
				if err != nil || snapshot.ByID(testDevice) == nil || len(snapshot.ByHostname("node-1")) != 1 {
					t.Errorf("got %+v, %v", snapshot, err)
				}
			})
		}
		group.Wait()
		if n := lister.listings.Load(); n != 1 {
			t.Errorf("%d listings for 50 questions at once", n)
		}
		snapshot, err := cache.Recent(t.Context())
		if err != nil || snapshot.Devices()[0].Userdata != "" || snapshot.Devices()[0].RootPassword != "" {
			t.Errorf("secrets are kept, or %v", err)
		}
		time.Sleep(9 * time.Second)
		if _, err := cache.Recent(t.Context()); err != nil || lister.listings.Load() != 2 {
			t.Errorf("a listing begun 10 s ago was given: %d listings, %v", lister.listings.Load(), err)
		}
	})
}

func TestAFailedListingIsAnErrorAndNoOldAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lister := &slowLister{devices: []Device{{ID: testDevice}}}
		cache := NewDeviceCache(lister, testProject, DeviceFilter{}, 10*time.Second, SystemClock{})
		if _, err := cache.Recent(t.Context()); err != nil {
			t.Fatal(err)
		}
		outage := errors.New("outage")
		lister.set(outage)
		time.Sleep(10 * time.Second)
		if snapshot, err := cache.Recent(t.Context()); !errors.Is(err, outage) || snapshot != nil {
			t.Errorf("got %v, %v", snapshot, err)
		}
		lister.set(nil, Device{ID: testDevice})
		if snapshot, err := cache.Recent(t.Context()); err != nil || snapshot.ByID(testDevice) == nil {
			t.Errorf("after the outage: %v, %v", snapshot, err)
		}
	})
}

// A device made while a listing was under way is not in it, so that listing
// proves nothing to those who ask after it began.
func TestFreshDoesNotJoinAnEarlierListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lister := &slowLister{}
		cache := NewDeviceCache(lister, testProject, DeviceFilter{}, 10*time.Second, SystemClock{})
		var group sync.WaitGroup
		group.Go(func() { _, _ = cache.Recent(t.Context()) })
		time.Sleep(500 * time.Millisecond)
		lister.set(nil, Device{ID: testDevice})
		for range 20 {
			group.Go(func() {
				if snapshot, err := cache.Fresh(t.Context()); err != nil || snapshot.ByID(testDevice) == nil {
					t.Errorf("the device made before the question is missing: %v", err)
				}
			})
		}
		group.Wait()
		if n := lister.listings.Load(); n != 2 {
			t.Errorf("%d listings, want the early one and one for all who asked for a fresh one", n)
		}
	})
}

// A listing that was under way at the moment asked for does not tell of it.
func TestSinceDoesNotJoinAnEarlierListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lister := &slowLister{}
		cache := NewDeviceCache(lister, testProject, DeviceFilter{}, 10*time.Second, SystemClock{})
		var group sync.WaitGroup
		group.Go(func() { _, _ = cache.Recent(t.Context()) })
		time.Sleep(500 * time.Millisecond)
		lister.set(nil, Device{ID: testDevice})
		made := time.Now()
		if snapshot, err := cache.Since(t.Context(), made); err != nil || snapshot.ByID(testDevice) == nil {
			t.Errorf("the device made before the moment is missing: %v", err)
		}
		group.Wait()
		if n := lister.listings.Load(); n != 2 {
			t.Errorf("%d listings, want 2", n)
		}
	})
}

func TestWhoeverWaitsCanLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lister := &slowLister{devices: []Device{{ID: testDevice}}}
		cache := NewDeviceCache(lister, testProject, DeviceFilter{}, 10*time.Second, SystemClock{})
		impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := cache.Fresh(impatient); !errors.Is(err, context.DeadlineExceeded) || IsNotFound(err) {
				t.Errorf("error is %v", err)
			}
		})
		synctest.Wait()
		// The one who began the listing leaves; it goes on for the others.
		if snapshot, err := cache.Recent(t.Context()); err != nil || snapshot.ByID(testDevice) == nil {
			t.Errorf("got %v, %v", snapshot, err)
		}
		group.Wait()
		if n := lister.listings.Load(); n != 1 {
			t.Errorf("%d listings", n)
		}
	})
}

// A reader that can do with less than the cache's ttl pays for less.
func TestDeviceCacheSince(t *testing.T) {
	clock := &steppedTokenClock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	lister := &countedLister{}
	cache := NewDeviceCache(lister, "p", DeviceFilter{}, 10*time.Second, clock)
	start := clock.now
	for _, step := range []struct {
		advance time.Duration
		since   time.Duration
		want    int
	}{
		{0, -time.Hour, 1},
		{0, -time.Second, 1},
		{0, 0, 2},
		{time.Minute, -time.Hour, 2},
		{0, -time.Minute, 3},
	} {
		clock.now = clock.now.Add(step.advance)
		snapshot, err := cache.Since(t.Context(), clock.now.Add(step.since))
		if err != nil || lister.calls != step.want || snapshot.Pages() != 1 {
			t.Errorf("%s after the start, since %s: %d listings, want %d (%v)", clock.now.Sub(start), step.since, lister.calls, step.want, err)
		}
	}
}

// countedLister has no devices.
type countedLister struct{ calls int }

func (l *countedLister) Devices(context.Context, string, DeviceFilter, ...QueryOption) ([]Device, error) {
	l.calls++
	return nil, nil
}
