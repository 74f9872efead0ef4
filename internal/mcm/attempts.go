package mcm

import (
	"sync"
	"time"
)

// attempt is the last request by which this process changed, or may have changed, what a Machine has.
type attempt struct {
	// ended is when it was answered, or was given up. A listing that began earlier says nothing about it.
	ended time.Time
	// uncertain is true for the creation of a device whose answer was lost: the device may appear yet.
	uncertain bool
}

// attempts remembers the last attempt of each Machine for as long as it matters.
type attempts struct {
	keep time.Duration

	mutex   sync.Mutex
	last    map[string]attempt
	running map[string]bool
}

func newAttempts(keep time.Duration) *attempts {
	return &attempts{keep: keep, last: map[string]attempt{}, running: map[string]bool{}}
}

// begin tells that nobody else is making the device of a Machine, and keeps others from it until end.
func (a *attempts) begin(machine string) (end func(), alone bool) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.running[machine] {
		return func() {}, false
	}
	a.running[machine] = true
	return func() {
		a.mutex.Lock()
		defer a.mutex.Unlock()
		delete(a.running, machine)
	}, true
}

// note remembers an attempt.
func (a *attempts) note(machine string, ended time.Time, uncertain bool) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for name, past := range a.last {
		if ended.Sub(past.ended) > a.keep {
			delete(a.last, name)
		}
	}
	a.last[machine] = attempt{ended: ended, uncertain: uncertain}
}

// of is the last attempt of a Machine, the zero one if there is none that matters.
func (a *attempts) of(machine string) attempt {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.last[machine]
}
