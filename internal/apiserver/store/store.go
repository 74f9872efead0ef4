package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

var (
	// errClosed is returned to whoever waits for a store that is being closed.
	errClosed = errors.New("the store is closed")
	// ErrTooLarge is returned by Update for a record that etcd refuses for its
	// size, which is 1.5 MiB by default. A request of fewer bytes can make
	// one, since some characters take up to six bytes in it.
	ErrTooLarge = errors.New("the record is too large")
	// ErrUnavailable is returned while etcd does not answer. Of a write it is
	// then not known whether it happened.
	ErrUnavailable = errors.New("etcd does not answer")
	// ErrNotLeader is returned by Leadership.Update to a leader whose time is
	// over. Nothing was written.
	ErrNotLeader = errors.New("another process was elected")
)

// Config says where the records are.
type Config struct {
	// DataDir is the folder of the embedded etcd, unless Endpoints are given.
	DataDir string
	// Endpoints are the URLs of an etcd cluster that others may use too.
	Endpoints []string
	// TLS is how those endpoints are reached; nil is for plain text, or for
	// https endpoints with certificates that this host trusts.
	TLS    *EtcdTLS
	Logger *slog.Logger
}

// EtcdTLS names the PEM files for an etcd that serves TLS. Each may be empty:
// without CAFile the host's own authorities count, without CertFile and
// KeyFile this process does not prove who it is. A certificate and its key
// are read anew for every connection.
type EtcdTLS struct {
	CAFile, CertFile, KeyFile string
}

// Store is the records of an API server.
type Store struct {
	client *clientv3.Client
	// shared is true where other processes may write too.
	shared bool
	limits limits
	logger *slog.Logger
	stop   func()

	mu       sync.RWMutex
	snapshot *Snapshot
	// revision is the last that the snapshot holds.
	revision int64
	waiters  map[int64]chan struct{}
	feeds    []*Feed
	// bgpWatches are those of WatchBGP.
	bgpWatches []chan struct{}
	// broken is why the snapshot is no longer kept up to date, nil if it is.
	broken error

	catching catching

	// updates are what is to be written. What follows belongs to commitAll.
	updates  chan *update
	overlay  *Snapshot
	pending  int64
	attempts int

	// background ends when the store is closed.
	background context.Context
	cancel     context.CancelFunc
	closed     chan struct{}
	committed  chan struct{}
	done       chan struct{}
	closing    sync.Once
}

// Open starts the embedded etcd, or connects to the given one, and reads all
// records into memory. Records of an earlier format are brought to the
// present one first; those of a later format are an error, and left alone.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s := &Store{
		logger:    cfg.Logger,
		shared:    len(cfg.Endpoints) > 0,
		snapshot:  newSnapshot(),
		waiters:   map[int64]chan struct{}{},
		updates:   make(chan *update, updatesAtOnce),
		pending:   pendingRevisions,
		closed:    make(chan struct{}),
		committed: make(chan struct{}),
		done:      make(chan struct{}),
	}
	var err error
	if s.shared {
		s.limits = limits{operations: defaultOperations, bytes: batchBytes}
		s.client, s.stop, err = connect(ctx, cfg)
	} else {
		s.limits = limits{operations: embeddedOperations, bytes: batchBytes}
		s.client, s.stop, err = openEmbedded(ctx, cfg)
	}
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, s.client, cfg.Logger); err != nil {
		s.stop()
		return nil, err
	}
	revision, err := s.load(ctx)
	if err != nil {
		s.stop()
		return nil, err
	}
	// The store outlives the context that it was opened with.
	s.background, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if !s.shared {
		if err := s.handOutBackups(cfg.DataDir); err != nil {
			s.cancel()
			s.stop()
			return nil, err
		}
	}
	go s.follow(s.background, revision+1)
	go s.commitAll()
	return s, nil
}

// Close stops following the records, and the embedded etcd. It may be called
// again.
func (s *Store) Close() {
	s.closing.Do(func() {
		close(s.closed)
		s.cancel()
		<-s.committed
		<-s.done
		s.stop()
	})
}

// Read calls fn with all records, as of the last write that anybody was told
// of before Read was called, or, inside OneCatchUp, before the first Read of
// that context. The snapshot must not be used after fn returns, and fn must
// not call the store.
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

// Ready tells why the store cannot be read or written now, nil if it can.
func (s *Store) Ready(ctx context.Context) error {
	s.mu.RLock()
	err := s.broken
	s.mu.RUnlock()
	if err != nil || !s.shared {
		return err
	}
	return s.ask(ctx)
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
