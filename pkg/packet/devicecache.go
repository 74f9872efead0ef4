package packet

import (
	"context"
	"strings"
	"sync"
	"time"
)

// DeviceLister is what a DeviceCache reads from; Client is one.
type DeviceLister interface {
	Devices(ctx context.Context, projectID string, filter DeviceFilter, options ...QueryOption) ([]Device, error)
}

// listingTimeout ends a shared listing that nobody can end by a context of
// their own.
const listingTimeout = 2 * time.Minute

// DeviceCache shares one listing of a project's devices among all who ask, so
// that the cost of asking for many devices is that of the list's pages.
//
// There is one listing at a time. One that fails is an error to everyone who
// waits for it: an answer that has expired is never given instead.
type DeviceCache struct {
	lister    DeviceLister
	projectID string
	filter    DeviceFilter
	options   []QueryOption
	ttl       time.Duration
	clock     Clock

	mu       sync.Mutex
	snapshot *DeviceSnapshot
	flight   *deviceFlight
	started  uint64
}

// deviceFlight is a listing under way. Its results are set before done closes.
type deviceFlight struct {
	number   uint64
	taken    time.Time
	done     chan struct{}
	snapshot *DeviceSnapshot
	err      error
}

// NewDeviceCache makes a cache of a project's devices. An answer is given for
// ttl, counted from when its listing began.
func NewDeviceCache(lister DeviceLister, projectID string, filter DeviceFilter, ttl time.Duration, clock Clock, options ...QueryOption) *DeviceCache {
	return &DeviceCache{lister: lister, projectID: projectID, filter: filter, options: options, ttl: ttl, clock: clock}
}

// Recent gives a listing that is not older than the cache's ttl.
func (c *DeviceCache) Recent(ctx context.Context) (*DeviceSnapshot, error) {
	return c.Since(ctx, c.clock.Now().Add(-c.ttl))
}

// Since gives a listing that began after a moment, the last one if it did.
func (c *DeviceCache) Since(ctx context.Context, moment time.Time) (*DeviceSnapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := c.started + 1
	for {
		if s := c.snapshot; s != nil && s.taken.After(moment) {
			return s, nil
		}
		flight := c.join(ctx)
		c.mu.Unlock()
		snapshot, err := flight.wait(ctx)
		c.mu.Lock()
		// One that was under way at that moment proves nothing of it.
		if flight.taken.After(moment) || flight.number >= wanted || ctx.Err() != nil {
			return snapshot, err
		}
	}
}

// Fresh gives a listing that began after the call. Only such a one proves
// that a device does not exist, because the device may have been made since
// any earlier one.
func (c *DeviceCache) Fresh(ctx context.Context) (*DeviceSnapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := c.started + 1
	for {
		flight := c.join(ctx)
		c.mu.Unlock()
		snapshot, err := flight.wait(ctx)
		c.mu.Lock()
		if flight.number >= wanted || ctx.Err() != nil {
			return snapshot, err
		}
	}
}

// join gives the listing under way, or begins one. The caller holds the lock.
func (c *DeviceCache) join(ctx context.Context) *deviceFlight {
	if c.flight != nil {
		return c.flight
	}
	c.started++
	flight := &deviceFlight{number: c.started, taken: c.clock.Now(), done: make(chan struct{})}
	c.flight = flight
	// The listing belongs to everyone who waits for it, so that the one who
	// began it cannot end it.
	shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), listingTimeout)
	go func() {
		defer cancel()
		devices, err := c.lister.Devices(shared, c.projectID, c.filter, c.options...)

		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			flight.err = err
		} else {
			flight.snapshot = newDeviceSnapshot(devices, flight.taken)
			c.snapshot = flight.snapshot
		}
		c.flight = nil
		close(flight.done)
	}()
	return flight
}

func (f *deviceFlight) wait(ctx context.Context) (*DeviceSnapshot, error) {
	select {
	case <-f.done:
		return f.snapshot, f.err
	case <-ctx.Done():
		return nil, contextError(ctx, "waiting for the list of devices", nil)
	}
}

// DeviceSnapshot is a listing of devices. It is shared: nobody changes it.
type DeviceSnapshot struct {
	taken      time.Time
	devices    []Device
	byID       map[string]*Device
	byHostname map[string][]*Device
}

func newDeviceSnapshot(devices []Device, taken time.Time) *DeviceSnapshot {
	s := &DeviceSnapshot{
		taken:      taken,
		devices:    devices,
		byID:       make(map[string]*Device, len(devices)),
		byHostname: make(map[string][]*Device, len(devices)),
	}
	for i := range devices {
		device := &devices[i]
		// Nobody looks for secrets here, and memory is no place to keep those
		// of a thousand machines.
		device.Userdata, device.RootPassword = "", ""
		s.byID[strings.ToLower(device.ID)] = device
		name := strings.ToLower(device.Hostname)
		s.byHostname[name] = append(s.byHostname[name], device)
	}
	return s
}

// Taken is when the listing began.
func (s *DeviceSnapshot) Taken() time.Time { return s.taken }

// Pages is how many requests the listing took.
func (s *DeviceSnapshot) Pages() int { return max((len(s.devices)+MaxPerPage-1)/MaxPerPage, 1) }

// Devices are all devices, in the API's order.
func (s *DeviceSnapshot) Devices() []Device { return s.devices }

// ByID is the device of an ID, nil if there is none.
func (s *DeviceSnapshot) ByID(id string) *Device { return s.byID[strings.ToLower(id)] }

// ByHostname are the devices of a host name, which several may share. Case
// does not matter, because Kubernetes writes names in lower case.
func (s *DeviceSnapshot) ByHostname(hostname string) []*Device {
	return s.byHostname[strings.ToLower(hostname)]
}
