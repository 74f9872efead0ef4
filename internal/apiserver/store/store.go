package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// lastWriteKey is put by every transaction. Its revision is that of the last
// write of any process, which costs one small read to learn and which the
// watch of every process is sure to see.
const lastWriteKey = root + "last-write"

// errClosed is returned to whoever waits for a store that is being closed.
var errClosed = errors.New("the store is closed")

// ErrTooLarge is returned by Update for a record that etcd refuses for its
// size, which is 1.5 MiB by default. A request of fewer bytes can make one,
// since some characters take up to six bytes in it.
var ErrTooLarge = errors.New("the record is too large")

// Config says where the records are.
type Config struct {
	// DataDir is the folder of the embedded etcd, unless Endpoints are given.
	DataDir string
	// Endpoints are the URLs of an etcd cluster that others may use too.
	Endpoints []string
	Logger    *slog.Logger
}

// Store is the records of an API server.
type Store struct {
	client *clientv3.Client
	// shared is true where other processes may write too.
	shared bool
	logger *slog.Logger
	stop   func()

	mu       sync.RWMutex
	snapshot *Snapshot
	// revision is the last that the snapshot holds.
	revision int64
	waiters  map[int64]chan struct{}
	feeds    []*Feed

	cancel  context.CancelFunc
	done    chan struct{}
	closing sync.Once
}

// Open starts the embedded etcd, or connects to the given one, and reads all
// records into memory.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s := &Store{
		logger:   cfg.Logger,
		shared:   len(cfg.Endpoints) > 0,
		snapshot: newSnapshot(),
		waiters:  map[int64]chan struct{}{},
		done:     make(chan struct{}),
	}
	var err error
	if s.shared {
		s.client, s.stop, err = connect(ctx, cfg)
	} else {
		s.client, s.stop, err = openEmbedded(ctx, cfg)
	}
	if err != nil {
		return nil, err
	}

	revision, err := s.load(ctx)
	if err != nil {
		s.stop()
		return nil, err
	}
	// The watch outlives the context that the store was opened with.
	watchCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	go s.follow(watchCtx, revision+1)
	return s, nil
}

// Close stops following the records, and the embedded etcd. It may be called
// again.
func (s *Store) Close() {
	s.closing.Do(func() {
		s.cancel()
		<-s.done
		s.stop()
	})
}

// Read calls fn with all records, as of the last write that anybody was told
// of before Read was called. The snapshot must not be used after fn returns,
// and fn must not call the store.
func (s *Store) Read(ctx context.Context, fn func(*Snapshot) error) error {
	if s.shared {
		if err := s.catchUp(ctx); err != nil {
			return err
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return fn(s.snapshot)
}

// Peek calls fn with all records as this process knows them, which is enough
// for figures.
func (s *Store) Peek(fn func(*Snapshot)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	fn(s.snapshot)
}

// Update calls fn to make a transaction, and commits it. When what fn read
// has changed by then, fn is called again with the newer records, so it must
// have no effects but on the transaction. An error of fn changes nothing and
// is returned as it is. When Update returns, Read sees the change.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) error {
	if s.shared {
		// What fn refuses, it must not refuse because of old records.
		if err := s.catchUp(ctx); err != nil {
			return err
		}
	}
	for {
		tx, err := s.decide(fn)
		if err != nil {
			return err
		}
		if len(tx.operations) == 0 {
			return nil
		}
		operations := append(tx.operations, clientv3.OpPut(lastWriteKey, ""))
		answer, err := s.client.Txn(ctx).
			If(tx.conditions...).
			Then(operations...).
			Else(clientv3.OpGet(lastWriteKey)).
			Commit()
		if errors.Is(err, rpctypes.ErrRequestTooLarge) {
			return fmt.Errorf("writing to etcd: %w: %w", ErrTooLarge, err)
		}
		if err != nil {
			return fmt.Errorf("writing to etcd: %w", err)
		}
		if answer.Succeeded {
			return s.waitFor(ctx, answer.Header.Revision)
		}
		if last := answer.Responses[0].GetResponseRange().GetKvs(); len(last) > 0 {
			if err := s.waitFor(ctx, last[0].ModRevision); err != nil {
				return err
			}
		}
	}
}

func (s *Store) decide(fn func(*Tx) error) (*Tx, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	tx := newTx(s.snapshot)
	if err := fn(tx); err != nil {
		return nil, err
	}
	return tx, tx.err
}

// catchUp waits until the index holds the last write of any process.
func (s *Store) catchUp(ctx context.Context) error {
	answer, err := s.client.Get(ctx, lastWriteKey)
	if err != nil {
		return fmt.Errorf("asking etcd for the last write: %w", err)
	}
	if len(answer.Kvs) == 0 {
		return nil
	}
	return s.waitFor(ctx, answer.Kvs[0].ModRevision)
}

// waitFor waits until the index holds a revision.
func (s *Store) waitFor(ctx context.Context, revision int64) error {
	s.mu.Lock()
	if s.revision >= revision {
		s.mu.Unlock()
		return nil
	}
	reached, ok := s.waiters[revision]
	if !ok {
		reached = make(chan struct{})
		s.waiters[revision] = reached
	}
	s.mu.Unlock()

	select {
	case <-reached:
		return nil
	case <-s.done:
		return errClosed
	case <-ctx.Done():
		return fmt.Errorf("waiting for revision %d: %w", revision, ctx.Err())
	}
}

// load replaces the index by all that is in etcd, and returns the revision
// that this is.
func (s *Store) load(ctx context.Context) (int64, error) {
	answer, err := s.client.Get(ctx, root, clientv3.WithPrefix())
	if err != nil {
		return 0, fmt.Errorf("reading all records from etcd: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, table := range s.snapshot.tables {
		table.reset()
	}
	for _, kv := range answer.Kvs {
		table := s.snapshot.tableOf(kv.Key)
		if table == nil {
			continue
		}
		if err := table.apply(clientv3.EventTypePut, kv); err != nil {
			return 0, err
		}
	}
	s.advance(answer.Header.Revision)
	return answer.Header.Revision, nil
}

// follow keeps the index up to date from a revision on, until the context
// ends.
func (s *Store) follow(ctx context.Context, from int64) {
	defer close(s.done)
	for ctx.Err() == nil {
		next, err := s.watch(ctx, from)
		if ctx.Err() != nil {
			return
		}
		s.logger.WarnContext(ctx, "The watch on etcd ended; reading all records anew.", "error", err)
		from = next
		if revision, err := s.load(ctx); err == nil {
			from = revision + 1
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// watch applies changes until the watch ends, and returns the revision to go
// on from.
func (s *Store) watch(ctx context.Context, from int64) (int64, error) {
	// Ending the context is how a watch is given up that etcd has ended.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for answer := range s.client.Watch(ctx, root, clientv3.WithPrefix(), clientv3.WithRev(from)) {
		if err := answer.Err(); err != nil {
			return from, err
		}
		revision, err := s.apply(answer.Events)
		if err != nil {
			return from, err
		}
		from = max(from, revision+1)
	}
	return from, errors.New("the channel was closed")
}

// apply takes the changes of one watch response into the index, and returns
// the revision of the last. All changes of one revision are in one response,
// so no reader sees half a transaction. The response's own revision is not
// what it says: etcd may have more changes to send up to it.
func (s *Store) apply(events []*clientv3.Event) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var revision int64
	for _, event := range events {
		revision = max(revision, event.Kv.ModRevision)
		table := s.snapshot.tableOf(event.Kv.Key)
		if table == nil {
			continue
		}
		if err := table.apply(event.Type, event.Kv); err != nil {
			return 0, err
		}
	}
	s.advance(revision)
	return revision, nil
}

// advance tells the waiters and the feeds. The lock is held.
func (s *Store) advance(revision int64) {
	s.revision = max(s.revision, revision)
	for wanted, reached := range s.waiters {
		if wanted <= s.revision {
			close(reached)
			delete(s.waiters, wanted)
		}
	}
	if len(s.snapshot.touched) == 0 {
		return
	}
	for _, feed := range s.feeds {
		feed.add(s.snapshot.touched)
	}
	clear(s.snapshot.touched)
}
