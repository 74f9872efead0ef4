package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// readTimeout is how long etcd may take to say which write was the last.
const readTimeout = 5 * time.Second

// OneCatchUp returns a context in which the first Read or Update alone asks a
// shared etcd for the last write. It is for all that is done for one request:
// whatever was told to anybody before the request came, each of them sees.
func OneCatchUp(ctx context.Context) context.Context {
	return context.WithValue(ctx, caughtUpKey{}, new(atomic.Bool))
}

type caughtUpKey struct{}

// catching is the question for the last write that is being asked, and those
// who wait for the next one: a question that was asked earlier does not tell
// of what was written since.
type catching struct {
	mu      sync.Mutex
	running bool
	next    *question
}

type question struct {
	done chan struct{}
	err  error
}

// catchUp waits until the index holds the last write of any process.
func (s *Store) catchUp(ctx context.Context) error {
	caughtUp, once := ctx.Value(caughtUpKey{}).(*atomic.Bool)
	if once && caughtUp.Load() {
		return nil
	}
	if err := s.ask(ctx); err != nil {
		return err
	}
	if once {
		caughtUp.Store(true)
	}
	return nil
}

// ask joins the next question, and begins it if none is being asked.
func (s *Store) ask(ctx context.Context) error {
	c := &s.catching
	c.mu.Lock()
	if c.next == nil {
		c.next = &question{done: make(chan struct{})}
	}
	q := c.next
	if !c.running {
		c.running = true
		go s.askAll()
	}
	c.mu.Unlock()
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		return fmt.Errorf("asking etcd for the last write: %w", ctx.Err())
	}
}

// askAll asks until nobody waits for another question.
func (s *Store) askAll() {
	c := &s.catching
	for {
		c.mu.Lock()
		q := c.next
		c.next = nil
		if q == nil {
			c.running = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		q.err = s.lastWrite()
		close(q.done)
	}
}

// lastWrite waits until the index holds what is the last write now.
func (s *Store) lastWrite() error {
	ctx, cancel := context.WithTimeout(s.background, readTimeout)
	defer cancel()
	answer, err := s.client.Get(ctx, lastWriteKey)
	if err == nil && len(answer.Kvs) > 0 {
		err = s.waitFor(ctx, answer.Kvs[0].ModRevision)
	}
	switch {
	case err == nil:
		return nil
	case s.background.Err() != nil:
		return errClosed
	case away(err):
		return fmt.Errorf("asking etcd for the last write: %w: %w", ErrUnavailable, err)
	default:
		return fmt.Errorf("asking etcd for the last write: %w", err)
	}
}

// away tells the errors of an etcd that does not answer.
func away(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, rpctypes.ErrNoLeader) ||
		errors.Is(err, rpctypes.ErrTimeout) || errors.Is(err, rpctypes.ErrTimeoutDueToLeaderFail) ||
		errors.Is(err, rpctypes.ErrTimeoutDueToConnectionLost) || errors.Is(err, rpctypes.ErrLeaderChanged)
}
