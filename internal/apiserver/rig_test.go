package apiserver_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/machines"
)

// clock is a time that tests turn.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	alarms []alarm
}

type alarm struct {
	at   time.Time
	ring chan time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 6, 30, 12, 0, 0, 0, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ring := make(chan time.Time, 1)
	c.alarms = append(c.alarms, alarm{at: c.now.Add(d), ring: ring})
	return ring
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	var later []alarm
	for _, alarm := range c.alarms {
		if alarm.at.After(c.now) {
			later = append(later, alarm)
			continue
		}
		alarm.ring <- c.now
	}
	c.alarms = later
}

// advanceUntil turns the clock by a second at a time until something is so.
func (c *clock) advanceUntil(t testing.TB, so func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !so() {
		if time.Now().After(deadline) {
			t.Fatal("it did not become so, however late it is")
		}
		c.advance(time.Second)
	}
}

// rack is hardware for tests: machines that are there and that do what their
// test says.
type rack struct {
	mu       sync.Mutex
	machines map[string]*machine
	calls    []string
	fail     error
	events   chan machines.Event
	// stillborn, if it is not nil, is told of each machine that is made, before
	// the one who made it.
	stillborn func(id string)
	// hold, if it is not nil, keeps Deprovision from ending until it is closed.
	hold chan struct{}
}

type machine struct {
	spec      machines.Spec
	power     machines.PowerState
	installed int
}

func newRack() *rack {
	return &rack{machines: map[string]*machine{}, events: make(chan machines.Event, 16)}
}

func (r *rack) do(call string, id string, fn func(*machine) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call)
	if r.fail != nil {
		return r.fail
	}
	m, ok := r.machines[id]
	if !ok {
		return machines.ErrNotFound
	}
	return fn(m)
}

func (r *rack) Provision(_ context.Context, spec machines.Spec) error {
	r.mu.Lock()
	if _, ok := r.machines[spec.ID]; !ok && r.fail == nil {
		r.machines[spec.ID] = &machine{spec: spec, power: machines.PowerOn, installed: 1}
	}
	r.mu.Unlock()
	err := r.do("provision", spec.ID, func(m *machine) error { m.spec.Addresses = spec.Addresses; return nil })
	if r.stillborn != nil {
		r.stillborn(spec.ID)
	}
	return err
}

func (r *rack) Deprovision(ctx context.Context, id string) error {
	r.mu.Lock()
	hold := r.hold
	r.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := r.do("deprovision", id, func(*machine) error { delete(r.machines, id); return nil })
	if errors.Is(err, machines.ErrNotFound) {
		return nil
	}
	return err
}

func (r *rack) PowerOn(_ context.Context, id string) error {
	return r.do("power on", id, func(m *machine) error { m.power = machines.PowerOn; return nil })
}

func (r *rack) PowerOff(_ context.Context, id string) error {
	return r.do("power off", id, func(m *machine) error { m.power = machines.PowerOff; return nil })
}

func (r *rack) Reboot(_ context.Context, id string) error {
	return r.do("reboot", id, func(*machine) error { return nil })
}

func (r *rack) Rescue(_ context.Context, spec machines.Spec) error {
	return r.do("rescue", spec.ID, func(m *machine) error { m.power = machines.PowerOn; return nil })
}

func (r *rack) Reinstall(_ context.Context, spec machines.Spec) error {
	return r.do("reinstall", spec.ID, func(m *machine) error { m.spec = spec; m.installed++; return nil })
}

func (r *rack) SetAddresses(_ context.Context, id string, addresses []machines.Address) error {
	return r.do("set addresses", id, func(m *machine) error { m.spec.Addresses = addresses; return nil })
}

func (r *rack) List(context.Context) ([]machines.Status, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []machines.Status
	for id, m := range r.machines {
		list = append(list, machines.Status{ID: id, Hostname: m.spec.Hostname, Power: m.power})
	}
	return list, nil
}

func (r *rack) Watch(ctx context.Context) (<-chan machines.Event, error) {
	events := make(chan machines.Event)
	go func() {
		defer close(events)
		for {
			select {
			case <-ctx.Done():
				return
			case event := <-r.events:
				select {
				case events <- event:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return events, nil
}

func (r *rack) SelfReporting() bool { return true }
func (r *rack) Close() error        { return nil }

// with calls fn with a machine, nil for none.
func (r *rack) with(id string, fn func(*machine)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn(r.machines[id])
}

func (r *rack) addresses(id string) int {
	count := 0
	r.with(id, func(m *machine) {
		if m != nil {
			count = len(m.spec.Addresses)
		}
	})
	return count
}
