package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

const (
	// leaderKey is where the processes that share an etcd elect one of them.
	leaderKey = top + "leader"
	// leaderLease is how many seconds after the death of a leader another one
	// is elected, at most.
	leaderLease = 6
	// resignTimeout is how long a leader that ends tries to say so; the others
	// then need not wait for its lease.
	resignTimeout = 2 * time.Second
)

// Leadership is the time for which this process was elected.
type Leadership struct {
	store    *Store
	session  *concurrency.Session
	election *concurrency.Election
	fence    *fence
}

// Lead waits until this process is elected the one that does what only one
// may do. It calls following when it learns that another process is that for
// now; the name, which says who this is, is for people who look into etcd. A
// store that no other process can use elects its only one at once.
//
// The context must last as long as the leadership: when it ends, so does that.
func (s *Store) Lead(ctx context.Context, name string, following func()) (*Leadership, error) {
	if !s.shared {
		return &Leadership{store: s}, nil
	}
	session, err := concurrency.NewSession(s.client, concurrency.WithTTL(leaderLease), concurrency.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("making the lease of the election: %w", explain(err))
	}
	election := concurrency.NewElection(session, leaderKey)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for leader := range election.Observe(watching) {
			if len(leader.Kvs) > 0 && clientv3.LeaseID(leader.Kvs[0].Lease) != session.Lease() && watching.Err() == nil {
				following()
				return
			}
		}
	}()
	if err := campaign(ctx, session, election, name); err != nil {
		return nil, errors.Join(err, session.Close())
	}
	return &Leadership{
		store: s, session: session, election: election,
		fence: &fence{key: election.Key(), revision: election.Rev()},
	}, nil
}

// campaign waits to be elected, for no longer than the session lasts.
func campaign(ctx context.Context, session *concurrency.Session, election *concurrency.Election, name string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-session.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := election.Campaign(ctx, name); err != nil {
		return fmt.Errorf("waiting to be elected: %w", explain(err))
	}
	return nil
}

// Done is closed when the leadership is over, or may be because etcd has not
// been heard of for as long as its lease lasts.
func (l *Leadership) Done() <-chan struct{} {
	if l.session == nil {
		return nil
	}
	return l.session.Done()
}

// Update is Store.Update for what only the leader may write: it writes nothing
// and returns ErrNotLeader if another process was elected in the meantime,
// even if this one has not heard of that yet.
func (l *Leadership) Update(ctx context.Context, fn func(*Tx) error) error {
	return l.store.submit(ctx, fn, l.fence)
}

// Resign ends the leadership, so that another process is elected at once.
func (l *Leadership) Resign() {
	if l.session == nil {
		return
	}
	ctx, cancel := context.WithTimeout(l.store.background, resignTimeout)
	defer cancel()
	// The lease ends by itself where this fails.
	_, _ = l.store.client.Revoke(ctx, l.session.Lease())
	l.session.Orphan()
}

// holds is the fence as a condition of etcd.
func (f *fence) holds() clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(f.key), "=", f.revision)
}
