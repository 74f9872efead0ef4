package packetmachine

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/packetyard/packetyard/internal/capi/credentials"
)

const (
	// firstAgain and lastAgain bound the time between tries of what may be granted later.
	firstAgain = 30 * time.Second
	lastAgain  = 5 * time.Minute
	// hopelessAgain is the time between tries of what is only granted if somebody changes something.
	hopelessAgain = 10 * time.Minute
)

// refusals remembers which machines the Packet API refused a device, so that a machine that is looked at for another reason
// is no reason to ask again. It is lost with the process, after which every machine is tried once.
type refusals struct {
	mutex sync.Mutex
	known map[types.UID]refused
}

// refused is what was refused and when to ask again.
type refused struct {
	generation int64
	account    *credentials.Account
	tries      int
	until      time.Time
}

// add takes down a refusal and returns how long to wait.
func (r *refusals) add(s *scope, waits bool, now time.Time) time.Duration {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.known == nil {
		r.known = map[types.UID]refused{}
	}
	uid := s.packetMachine.UID
	entry := r.known[uid]
	if !entry.about(s) {
		entry = refused{generation: s.packetMachine.Generation, account: s.account}
	}
	wait := hopelessAgain
	if waits {
		wait = min(firstAgain<<min(entry.tries, 8), lastAgain)
	}
	entry.tries++
	entry.until = now.Add(wait)
	r.known[uid] = entry
	return wait
}

// held tells how long a machine has to wait until it is asked for again; false if it need not.
func (r *refusals) held(s *scope, now time.Time) (time.Duration, bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	entry, ok := r.known[s.packetMachine.UID]
	if !ok || !entry.about(s) || !now.Before(entry.until) {
		return 0, false
	}
	return entry.until.Sub(now), true
}

// forget drops what is known of a machine that has its device, or needs none any more.
func (r *refusals) forget(uid types.UID) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	delete(r.known, uid)
}

// about tells whether neither the machine nor its credentials changed since.
func (e refused) about(s *scope) bool {
	return e.generation == s.packetMachine.Generation && e.account == s.account
}
