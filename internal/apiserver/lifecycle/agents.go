package lifecycle

import (
	"container/heap"
	"context"
	"time"
)

// agentsAtOnce bounds how many devices something is done about at a time.
// Those of a whole fleet are looked at when the worker begins, and a driver
// may take minutes for each.
const agentsAtOnce = 512

// agents are the devices that something is being done about, waits to be
// done, or is to be done later. A device that just is there costs nothing.
type agents struct {
	// busy are the devices being looked at or queued for it; true is for one
	// that is to be looked at again.
	busy    map[string]bool
	running int
	queue   []string
	// alarms say when to look at a device again, and are in order in ring.
	alarms map[string]*alarm
	ring   alarms
	// earlier receives when the first alarm is another one.
	earlier chan struct{}
	ringing bool
	// retries are how long to wait for those that failed, should they again.
	retries map[string]time.Duration
}

func newAgents() agents {
	return agents{
		busy:    map[string]bool{},
		alarms:  map[string]*alarm{},
		earlier: make(chan struct{}, 1),
		retries: map[string]time.Duration{},
	}
}

// look has somebody look at a device.
func (w *Worker) look(ctx context.Context, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(id)
	if _, busy := w.agents.busy[id]; busy {
		w.agents.busy[id] = true
		return
	}
	w.agents.busy[id] = false
	if w.agents.running == agentsAtOnce {
		w.agents.queue = append(w.agents.queue, id)
		return
	}
	w.agents.running++
	w.wait.Go(func() { w.attendAll(ctx, id) })
}

// attendAll looks at a device, and then at those that wait for it.
func (w *Worker) attendAll(ctx context.Context, id string) {
	for more := true; more; id, more = w.queued(ctx) {
		w.attend(ctx, id)
	}
}

// queued takes the next device that waits. Where there is none, or the end
// came, there is one less that looks.
func (w *Worker) queued(ctx context.Context) (id string, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.agents.queue) == 0 || ctx.Err() != nil {
		w.agents.running--
		return "", false
	}
	id = w.agents.queue[0]
	w.agents.queue = w.agents.queue[1:]
	// It is looked at now, whatever it was asked for while it waited.
	w.agents.busy[id] = false
	return id, true
}

// next says when to look at a device again: at once, after a time, or, where
// neither is set, when it changes.
type next struct {
	now   bool
	after time.Duration
}

// by makes sure that a device is looked at again when its time is over.
func (n next) by(end *time.Time, now time.Time) next {
	if end == nil || n.now {
		return n
	}
	if wait := end.Sub(now); wait > 0 && (n.after == 0 || wait < n.after) {
		n.after = wait
	}
	return n
}

// attend does what there is to do about one device, one thing after the
// other, until nothing is left but to wait.
func (w *Worker) attend(ctx context.Context, id string) {
	for {
		next, err := w.advance(ctx, id)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			// What could not be done is not done at once again, whatever was to
			// come after it.
			next.now, next.after = false, w.retryAfter(id)
			w.Logger.WarnContext(ctx, "A device was not advanced; trying again.", "device", id, "in", next.after, "error", err)
		}
		if !next.now && w.leave(ctx, id, next.after, err != nil) {
			return
		}
	}
}

// retryAfter is how long to wait after a failure: longer each time.
func (w *Worker) retryAfter(id string) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	wait := max(w.agents.retries[id], firstRetry)
	w.agents.retries[id] = min(2*wait, lastRetry)
	return wait
}

// leave ends looking at a device, for a time or until it changes. It returns
// false where that was asked for in the meantime. After a failure that waits.
func (w *Worker) leave(ctx context.Context, id string, after time.Duration, failed bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !failed {
		delete(w.agents.retries, id)
	}
	if w.agents.busy[id] {
		w.agents.busy[id] = false
		return false
	}
	delete(w.agents.busy, id)
	if after > 0 {
		w.remind(ctx, id, w.Clock.Now().Add(after))
	}
	return true
}

// alarm is when to look at a device again.
type alarm struct {
	id string
	at time.Time
	// index is its place in the heap.
	index int
}

// remind sets a device's only alarm. The lock is held.
func (w *Worker) remind(ctx context.Context, id string, at time.Time) {
	w.drop(id)
	a := &alarm{id: id, at: at}
	w.agents.alarms[id] = a
	heap.Push(&w.agents.ring, a)
	if !w.agents.ringing {
		w.agents.ringing = true
		w.wait.Go(func() { w.ring(ctx) })
	}
	if a.index == 0 {
		select {
		case w.agents.earlier <- struct{}{}:
		default:
		}
	}
}

// drop takes a device's alarm back. The lock is held.
func (w *Worker) drop(id string) {
	if a, ok := w.agents.alarms[id]; ok {
		heap.Remove(&w.agents.ring, a.index)
		delete(w.agents.alarms, id)
	}
}

// ring has devices looked at when it is time, until the context ends.
func (w *Worker) ring(ctx context.Context) {
	for {
		due, wait := w.due()
		for _, id := range due {
			w.look(ctx, id)
		}
		if len(due) > 0 {
			continue
		}
		var alarm <-chan time.Time
		if wait > 0 {
			alarm = w.Clock.After(wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-alarm:
		case <-w.agents.earlier:
		}
	}
}

// due takes the alarms whose time has come. Where there are none, it tells
// how long it is to the first, and 0 if none is set.
func (w *Worker) due() (ids []string, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.Clock.Now()
	for len(w.agents.ring) > 0 {
		first := w.agents.ring[0]
		if first.at.After(now) {
			return ids, first.at.Sub(now)
		}
		ids = append(ids, first.id)
		w.drop(first.id)
	}
	return ids, 0
}

// alarms is a heap with the first on top.
type alarms []*alarm

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a alarms) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index, a[j].index = i, j
}

func (a *alarms) Push(x any) {
	added := x.(*alarm)
	added.index = len(*a)
	*a = append(*a, added)
}

func (a *alarms) Pop() any {
	last := (*a)[len(*a)-1]
	(*a)[len(*a)-1] = nil
	*a = (*a)[:len(*a)-1]
	return last
}
