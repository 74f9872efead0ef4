package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// commitTimeout is how long etcd may take for a transaction. It is far more
// than it needs unless it is away.
const commitTimeout = 15 * time.Second

// update is a call of Update that waits for its end.
type update struct {
	ctx   context.Context
	fn    func(*Tx) error
	fence *fence
	done  chan struct{}
	err   error
	// panicked is what fn panicked with, for the caller to go on with.
	panicked any

	// mu is held while fn runs, so that it never runs after Update returned.
	mu        sync.Mutex
	withdrawn bool
}

// Update calls fn to make a transaction, and commits it. When what fn read
// has changed by then, fn is called again with the newer records, so it must
// have no effects but on the transaction. An error of fn changes nothing and
// is returned as it is. When Update returns, Read sees the change.
//
// The updates of one process are decided on one after the other, each as if
// those before it were written, and many are written at once. So fn should be
// quick, and must not call the store.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) error {
	return s.submit(ctx, fn, nil)
}

func (s *Store) submit(ctx context.Context, fn func(*Tx) error, fence *fence) error {
	if s.shared {
		// What fn refuses, it must not refuse because of old records.
		if err := s.catchUp(ctx); err != nil {
			return err
		}
	}
	u := &update{ctx: ctx, fn: fn, fence: fence, done: make(chan struct{})}
	select {
	case s.updates <- u:
	case <-s.closed:
		return errClosed
	case <-ctx.Done():
		return fmt.Errorf("waiting to write: %w", ctx.Err())
	}
	select {
	case <-u.done:
	case <-s.committed:
		if u.withdraw() {
			return errClosed
		}
	case <-ctx.Done():
		if u.withdraw() {
			return fmt.Errorf("writing to etcd: %w", ctx.Err())
		}
	}
	if u.panicked != nil {
		panic(u.panicked)
	}
	return u.err
}

// withdraw keeps fn from running again. It returns false where the update is
// over in the meantime.
func (u *update) withdraw() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.withdrawn = true
	select {
	case <-u.done:
		return false
	default:
		return true
	}
}

// finish ends an update with what became of it.
func (u *update) finish(err error) {
	u.err = err
	close(u.done)
}

// run calls fn, unless nobody waits for it any more.
func (u *update) run(tx *Tx) (withdrawn bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.withdrawn {
		return true, nil
	}
	defer func() {
		u.panicked = recover()
	}()
	if err := u.fn(tx); err != nil {
		return false, err
	}
	return false, tx.err
}

// commitAll writes what is asked for until the store is closed.
func (s *Store) commitAll() {
	defer close(s.committed)
	var waiting []*update
	for {
		if len(waiting) == 0 {
			select {
			case u := <-s.updates:
				waiting = append(waiting, u)
			case <-s.closed:
				return
			}
		}
		for more := true; more && len(waiting) < updatesAtOnce; {
			select {
			case u := <-s.updates:
				waiting = append(waiting, u)
			default:
				more = false
			}
		}
		select {
		case <-s.closed:
			for _, u := range waiting {
				u.finish(errClosed)
			}
			return
		default:
		}
		waiting = s.commit(waiting)
	}
}

// updatesAtOnce bounds how many updates are decided on together.
const updatesAtOnce = 512

// outcome is what an update comes to if the batch is written.
type outcome struct {
	update *update
	err    error
}

// commit decides on updates and writes those that fit together. It returns
// those that are to be decided on again.
func (s *Store) commit(updates []*update) (again []*update) {
	b, outcomes, again := s.decide(updates)
	if len(b.writes) == 0 {
		s.settle(outcomes)
		return again
	}
	conditions, then, otherwise := b.transaction()
	ctx, cancel := context.WithTimeout(s.background, commitTimeout)
	defer cancel()
	answer, err := s.client.Txn(ctx).If(conditions...).Then(then...).Else(otherwise...).Commit()
	switch {
	case err != nil && invalid(err) && len(outcomes) > 1:
		// One of them is at fault, and the others must not suffer for it.
		s.attempts = apart
		return append(updatesOf(outcomes), again...)
	case err != nil:
		s.attempts = 0
		s.failed(outcomes, explain(err))
		return again
	case answer.Succeeded:
		if err := s.waitFor(ctx, answer.Header.Revision); err != nil {
			s.failed(outcomes, err)
			return again
		}
		s.attempts = 0
		s.settle(outcomes)
		return again
	}
	// Others write too. The fewer updates are in a batch, the less it rests
	// on that could have changed.
	s.attempts++
	lost := b.fence != nil && !b.fence.held(answer)
	if last := answer.Responses[0].GetResponseRange().GetKvs(); len(last) > 0 {
		if err := s.waitFor(ctx, last[0].ModRevision); err != nil {
			s.failed(outcomes, err)
			return again
		}
	}
	var retried []*update
	for _, o := range outcomes {
		if lost && o.update.fence != nil {
			o.update.finish(ErrNotLeader)
			continue
		}
		retried = append(retried, o.update)
	}
	return append(retried, again...)
}

// decide calls the functions of updates until a batch is full. Outcomes are
// those of the updates that are in it, or that were refused because of it.
func (s *Store) decide(updates []*update) (b *batch, outcomes []outcome, again []*update) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.overlay == nil || s.overlay.under != s.snapshot {
		s.overlay = newOverlay(s.snapshot)
	}
	s.overlay.clearOverlay()
	limits := s.limits
	if s.attempts > 0 {
		limits.operations >>= min(s.attempts, apart)
	}
	b = newBatch(limits, s.pending)
	defer func() { s.pending = b.revision }()
	for i, u := range updates {
		if b.full {
			return b, outcomes, append(again, updates[i:]...)
		}
		if u.ctx.Err() != nil {
			u.finish(fmt.Errorf("writing to etcd: %w", u.ctx.Err()))
			continue
		}
		tx := newTx(s.overlay)
		withdrawn, err := u.run(tx)
		switch {
		case withdrawn:
		case u.panicked != nil:
			u.finish(nil)
		case err != nil || len(tx.writes) == 0:
			outcomes = append(outcomes, outcome{u, err})
		case b.take(tx, u.fence):
			outcomes = append(outcomes, outcome{u, nil})
		default:
			again = append(again, u)
		}
	}
	return b, outcomes, again
}

// apart is after how many failures each update is written alone.
const apart = 16

// invalid tells the errors of a transaction that etcd does not take as it is,
// whatever its records are.
func invalid(err error) bool {
	return errors.Is(err, rpctypes.ErrDuplicateKey) || errors.Is(err, rpctypes.ErrTooManyOps) || errors.Is(err, rpctypes.ErrRequestTooLarge)
}

func updatesOf(outcomes []outcome) []*update {
	updates := make([]*update, len(outcomes))
	for i, o := range outcomes {
		updates[i] = o.update
	}
	return updates
}

// settle tells what became of updates.
func (s *Store) settle(outcomes []outcome) {
	for _, o := range outcomes {
		o.update.finish(o.err)
	}
}

// failed tells that it is not known what became of updates.
func (s *Store) failed(outcomes []outcome, err error) {
	for _, o := range outcomes {
		o.update.finish(err)
	}
}

func explain(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrRequestTooLarge), errors.Is(err, rpctypes.ErrTooManyOps):
		return fmt.Errorf("writing to etcd: %w: %w", ErrTooLarge, err)
	case away(err):
		return fmt.Errorf("writing to etcd: %w: %w", ErrUnavailable, err)
	default:
		return fmt.Errorf("writing to etcd: %w", err)
	}
}
