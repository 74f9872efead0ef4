package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// pageSize is how many records are read from etcd at a time.
const pageSize = 100_000

// loadGarbage is how much garbage there may be while many records are read, in
// percent of what is in use: all that is read stays, so there is little to
// find for a collector that looks again and again.
const loadGarbage = 200

// load replaces the index by all that is in etcd, and returns the revision
// that this is. Where it fails the index is as it was.
func (s *Store) load(ctx context.Context) (int64, error) {
	fresh := newSnapshot()
	fresh.load(true)
	revision, err := s.readAll(ctx, fresh)
	if err != nil {
		return 0, fmt.Errorf("reading all records from etcd: %w", err)
	}
	fresh.load(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	// Who follows the devices must hear of those that went, too.
	for _, row := range s.snapshot.Devices.All() {
		fresh.touched[row.Value.ID] = struct{}{}
	}
	fresh.bgpChanged = true
	s.snapshot = fresh
	s.advance(revision)
	return revision, nil
}

// readAll fills a snapshot with the records of one revision. One page is
// decoded while the next is read.
func (s *Store) readAll(ctx context.Context, into *Snapshot) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	count, err := s.client.Get(ctx, root, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	if count.Count >= pageSize {
		defer debug.SetGCPercent(debug.SetGCPercent(loadGarbage))
	}
	pages := make(chan []*mvccpb.KeyValue)
	var revision int64
	var failure error
	go func() {
		defer close(pages)
		revision, failure = s.readPages(ctx, pages)
	}()
	for page := range pages {
		if err := into.take(page); err != nil {
			return 0, err
		}
	}
	return revision, failure
}

// readPages sends all records of one revision, and returns that.
func (s *Store) readPages(ctx context.Context, pages chan<- []*mvccpb.KeyValue) (revision int64, err error) {
	from, end := root, clientv3.GetPrefixRangeEnd(root)
	for {
		options := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(pageSize)}
		if revision > 0 {
			options = append(options, clientv3.WithRev(revision))
		}
		answer, err := s.client.Get(ctx, from, options...)
		if err != nil {
			return 0, err
		}
		if revision == 0 {
			revision = answer.Header.Revision
		}
		select {
		case pages <- answer.Kvs:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if !answer.More {
			return revision, nil
		}
		from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
	}
}

// take puts records into a snapshot that nobody reads yet.
func (s *Snapshot) take(kvs []*mvccpb.KeyValue) error {
	rows := make([]decoded, len(kvs))
	errs := make([]error, runtime.GOMAXPROCS(0))
	share := (len(kvs) + len(errs) - 1) / len(errs)
	var wait sync.WaitGroup
	for part := range errs {
		wait.Go(func() {
			for i := part * share; i < min((part+1)*share, len(kvs)); i++ {
				table := s.tableOf(kvs[i].Key)
				if table == nil {
					continue
				}
				if rows[i], errs[part] = table.decode(kvs[i]); errs[part] != nil {
					return
				}
			}
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, row := range rows {
		if row != nil {
			row.insert()
		}
	}
	return nil
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
		from = next
		if errors.Is(err, errCannotApply) || errors.Is(err, rpctypes.ErrCompacted) {
			s.logger.WarnContext(ctx, "Changes in etcd were missed; reading all records anew.", "error", err)
			var revision int64
			if revision, err = s.load(ctx); err == nil {
				from = revision + 1
			}
		} else {
			s.logger.WarnContext(ctx, "The watch on etcd ended; watching again.", "error", err)
		}
		s.setBroken(err)
		select {
		case <-ctx.Done():
		case <-time.After(rewatch):
		}
	}
}

// rewatch is how long to wait before watching again what ended.
const rewatch = 500 * time.Millisecond

// errCannotApply is for a change that cannot be taken into the index.
var errCannotApply = errors.New("a change cannot be taken into the index")

// setBroken says why the index is not kept up to date, or that it is.
func (s *Store) setBroken(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
}

// watch applies changes until the watch ends, and returns the revision to go
// on from.
func (s *Store) watch(ctx context.Context, from int64) (int64, error) {
	// Ending the context is how a watch is given up that etcd has ended. A
	// member that lost the others would go on without telling anything.
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for answer := range s.client.Watch(ctx, root, clientv3.WithPrefix(), clientv3.WithRev(from), clientv3.WithCreatedNotify()) {
		if err := answer.Err(); err != nil {
			return from, err
		}
		s.setBroken(nil)
		revision, err := s.apply(answer.Events)
		if err != nil {
			return from, fmt.Errorf("%w: %w", errCannotApply, err)
		}
		from = max(from, revision+1)
	}
	return from, errors.New("the channel was closed")
}

// apply takes the changes of one watch response into the index, and returns
// the revision of the last. All changes of one revision are in one response,
// so no reader sees half a transaction. The response's own revision is not
// what it says: etcd may have more changes to send up to it.
func (s *Store) apply(events []*clientv3.Event) (revision int64, err error) {
	rows := make([]decoded, len(events))
	tables := make([]table, len(events))
	for i, event := range events {
		revision = max(revision, event.Kv.ModRevision)
		tables[i] = s.snapshot.tableOf(event.Kv.Key)
		if tables[i] == nil || event.Type == clientv3.EventTypeDelete {
			continue
		}
		if rows[i], err = tables[i].decode(event.Kv); err != nil {
			return 0, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, event := range events {
		switch {
		case tables[i] == nil:
		case rows[i] != nil:
			rows[i].insert()
		default:
			tables[i].remove(string(event.Kv.Key))
		}
	}
	s.snapshot.tidy()
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
	s.tellBGP()
	if len(s.snapshot.touched) == 0 {
		return
	}
	for _, feed := range s.feeds {
		feed.add(s.snapshot.touched)
	}
	if len(s.snapshot.touched) > 4096 {
		// A map keeps the room that it once needed.
		s.snapshot.touched = map[string]struct{}{}
		return
	}
	clear(s.snapshot.touched)
}
