package store_test

import (
	"context"
	"errors"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// openShared opens a store on a shared etcd; close may be called again.
func openShared(t testing.TB, endpoints []string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), config("", endpoints...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func lead(t testing.TB, s *store.Store, following func()) *store.Leadership {
	t.Helper()
	leadership, err := s.Lead(t.Context(), t.Name(), following)
	if err != nil {
		t.Fatal(err)
	}
	return leadership
}

func createProject(leadership *store.Leadership, id string) error {
	return leadership.Update(context.Background(), func(tx *store.Tx) error {
		tx.Projects.Create(tx, &store.Project{ID: id})
		return nil
	})
}

func unexpected() { panic("it follows another") }

// TestALeaderWithoutItsLeaseWritesNothing takes the lease of a leader away,
// as etcd does when nothing is heard of it, and has it write before it can
// know.
func TestALeaderWithoutItsLeaseWritesNothing(t *testing.T) {
	endpoints := startEtcd(t)
	first, second := openShared(t, endpoints), openShared(t, endpoints)
	one := lead(t, first, unexpected)
	if err := createProject(one, "before"); err != nil {
		t.Fatal(err)
	}
	elected := make(chan *store.Leadership)
	following := make(chan struct{}, 1)
	go func() {
		leadership, err := second.Lead(t.Context(), "second", func() { following <- struct{}{} })
		if err != nil {
			t.Error(err)
		}
		elected <- leadership
	}()
	<-following

	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	leader, err := client.Get(t.Context(), "/packetyard/leader/", clientv3.WithFirstCreate()...)
	if err != nil || len(leader.Kvs) != 1 {
		t.Fatalf("the leader's key: %v, %v", leader, err)
	}
	if _, err := client.Revoke(t.Context(), clientv3.LeaseID(leader.Kvs[0].Lease)); err != nil {
		t.Fatal(err)
	}
	two := <-elected
	if err := createProject(one, "after"); !errors.Is(err, store.ErrNotLeader) {
		t.Errorf("the first leader writes: %v, want %v", err, store.ErrNotLeader)
	}
	if err := createProject(two, "second"); err != nil {
		t.Errorf("the second leader: %v", err)
	}
	<-one.Done()
	read(t, first, func(snapshot *store.Snapshot) {
		if _, ok := snapshot.Projects.Get("after"); ok || snapshot.Projects.Len() != 2 {
			t.Errorf("there are %d projects, want that before and that of the second leader", snapshot.Projects.Len())
		}
	})
	two.Resign()
}

// TestAnotherLeadsAtOnceAfterOneResigned does not wait for any lease.
func TestAnotherLeadsAtOnceAfterOneResigned(t *testing.T) {
	endpoints := startEtcd(t)
	first, second := openShared(t, endpoints), openShared(t, endpoints)
	for range 3 {
		one := lead(t, first, unexpected)
		one.Resign()
		<-one.Done()
		two := lead(t, second, unexpected)
		if err := createProject(one, "late"); !errors.Is(err, store.ErrNotLeader) {
			t.Errorf("whoever resigned writes: %v, want %v", err, store.ErrNotLeader)
		}
		two.Resign()
	}
}

// TestAnEmbeddedStoreElectsItsOnlyProcess has no lease that could be lost.
func TestAnEmbeddedStoreElectsItsOnlyProcess(t *testing.T) {
	leadership := lead(t, open(t, t.TempDir()), unexpected)
	if err := createProject(leadership, "p"); err != nil {
		t.Error(err)
	}
	select {
	case <-leadership.Done():
		t.Error("its leadership is over")
	default:
	}
	leadership.Resign()
}

// TestRefusedWritesOfALeaderDoNotHarmOthers has a fenced write that must fail
// wait together with one that must not.
func TestRefusedWritesOfALeaderDoNotHarmOthers(t *testing.T) {
	endpoints := startEtcd(t)
	s := openShared(t, endpoints)
	one := lead(t, s, unexpected)
	one.Resign()
	results := make(chan error, 20)
	for i := range cap(results) {
		go func() {
			if i%2 == 0 {
				if err := createProject(one, "late"); !errors.Is(err, store.ErrNotLeader) {
					results <- errors.Join(errors.New("whoever resigned writes"), err)
					return
				}
				results <- nil
				return
			}
			results <- s.Update(context.Background(), func(tx *store.Tx) error {
				tx.Projects.Create(tx, &store.Project{ID: string(rune('a' + i))})
				return nil
			})
		}()
	}
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}
