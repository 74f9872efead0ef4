package apiserver

import (
	"container/heap"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
)

// turnableClock is a clock that runs as another does until it is turned
// forward or stopped. It never goes back: what has happened stays in the past.
type turnableClock struct {
	base lifecycle.Clock

	mu sync.Mutex
	// offset is how far the clock is ahead of its base while it runs.
	offset time.Duration
	// stoppedAt is the time it shows while it stands still, zero if it runs.
	stoppedAt time.Time
	alarms    alarms
	// changed is closed, and made anew, when the clock was turned, or when an
	// alarm is now the first, so that whoever sleeps looks again.
	changed chan struct{}
	ringing bool
}

func newTurnableClock(base lifecycle.Clock) *turnableClock {
	return &turnableClock{base: base, changed: make(chan struct{})}
}

// Now implements lifecycle.Clock.
func (c *turnableClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *turnableClock) now() time.Time {
	if !c.stoppedAt.IsZero() {
		return c.stoppedAt
	}
	return c.base.Now().Add(c.offset)
}

// After implements lifecycle.Clock.
func (c *turnableClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ring := make(chan time.Time, 1)
	now := c.now()
	if d <= 0 {
		ring <- now
		return ring
	}
	heap.Push(&c.alarms, alarm{at: now.Add(d), ring: ring})
	if c.alarms[0].ring == ring {
		c.wake()
	}
	return ring
}

// wake makes the alarms be looked at anew. The lock is held.
func (c *turnableClock) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
	c.ringDue()
	if !c.ringing && len(c.alarms) > 0 && c.stoppedAt.IsZero() {
		c.ringing = true
		go c.ring()
	}
}

// ringDue rings what is due. The lock is held.
func (c *turnableClock) ringDue() {
	now := c.now()
	for len(c.alarms) > 0 && !c.alarms[0].at.After(now) {
		heap.Pop(&c.alarms).(alarm).ring <- now
	}
}

// ring rings alarms when they are due, until there is none or the clock
// stands still.
func (c *turnableClock) ring() {
	for {
		c.mu.Lock()
		c.ringDue()
		if len(c.alarms) == 0 || !c.stoppedAt.IsZero() {
			c.ringing = false
			c.mu.Unlock()
			return
		}
		wait, changed := c.alarms[0].at.Sub(c.now()), c.changed
		c.mu.Unlock()
		select {
		case <-c.base.After(wait):
		case <-changed:
		}
	}
}

// clockState is what the control routes tell of the clock.
type clockState struct {
	Now     time.Time `json:"now"`
	Stopped bool      `json:"stopped"`
	// AheadSeconds is how far the clock is ahead of the host's, less than 0
	// where it stood still.
	AheadSeconds float64 `json:"ahead_seconds"`
}

func (c *turnableClock) state() clockState {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	return clockState{Now: now.UTC(), Stopped: !c.stoppedAt.IsZero(), AheadSeconds: now.Sub(c.base.Now()).Round(time.Millisecond).Seconds()}
}

// clockChange says how to turn the clock: at most one of Set and Advance.
type clockChange struct {
	Set     *time.Time `json:"set,omitempty"`
	Advance *duration  `json:"advance,omitempty"`
	Stop    *bool      `json:"stop,omitempty"`
}

func (c *turnableClock) change(change clockChange) error {
	if change.Set == nil && change.Advance == nil && change.Stop == nil {
		return refuse(http.StatusUnprocessableEntity, "the change is empty, it needs set, advance or stop")
	}
	if change.Set != nil && change.Advance != nil {
		return refuse(http.StatusUnprocessableEntity, "set and advance exclude each other")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	to := now
	switch {
	case change.Set != nil:
		to = *change.Set
	case change.Advance != nil:
		to = now.Add(time.Duration(*change.Advance))
	}
	if to.Before(now) {
		return refuse(http.StatusUnprocessableEntity, "%s is before the present time %s, and the clock does not go back", to.Format(time.RFC3339Nano), now.Format(time.RFC3339Nano))
	}
	if to.Year() > 9000 {
		return refuse(http.StatusUnprocessableEntity, "%s is too far in the future, years go up to 9000", to.Format(time.RFC3339))
	}
	stop := !c.stoppedAt.IsZero()
	if change.Stop != nil {
		stop = *change.Stop
	}
	if stop {
		c.stoppedAt = to
	} else {
		c.stoppedAt, c.offset = time.Time{}, to.Sub(c.base.Now())
	}
	c.wake()
	return nil
}

// String keeps a clock from being printed with all its alarms.
func (c *turnableClock) String() string { return fmt.Sprintf("clock at %s", c.Now()) }

type alarm struct {
	at   time.Time
	ring chan time.Time
}

// alarms is a heap, the earliest first.
type alarms []alarm

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a alarms) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *alarms) Push(x any)        { *a = append(*a, x.(alarm)) }
func (a *alarms) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	(*a)[last] = alarm{}
	*a = (*a)[:last]
	return x
}
