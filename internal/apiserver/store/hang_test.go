package store_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// frozen passes bytes on to an etcd until it is frozen. Connections stay open
// then, as with a host that lost power.
type frozen struct {
	mu   sync.Mutex
	gate chan struct{}
}

func (f *frozen) freeze(t *testing.T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gate = make(chan struct{})
	t.Cleanup(f.thaw)
}

func (f *frozen) thaw() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gate != nil {
		close(f.gate)
		f.gate = nil
	}
}

// pass waits while it is frozen.
func (f *frozen) pass() {
	f.mu.Lock()
	gate := f.gate
	f.mu.Unlock()
	if gate != nil {
		<-gate
	}
}

func (f *frozen) copy(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		f.pass()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// before puts it before an endpoint and returns its own.
func (f *frozen) before(t *testing.T, endpoint string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			f.pass()
			server, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "http://"))
			if err != nil {
				_ = client.Close()
				continue
			}
			go f.copy(server, client)
			go f.copy(client, server)
		}
	}()
	return "http://" + listener.Addr().String()
}

// TestAnEtcdThatHangsIsAnError asks a store for what it has with a context
// that never ends, while its etcd does not answer: that is an error, said in
// time, and over when etcd is back.
func TestAnEtcdThatHangsIsAnError(t *testing.T) {
	proxy := &frozen{}
	s := openShared(t, []string{proxy.before(t, startEtcd(t)[0])})
	create := func(id string) error {
		return s.Update(context.Background(), func(tx *store.Tx) error {
			tx.Projects.Create(tx, &store.Project{ID: id})
			return nil
		})
	}
	if err := create("before"); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(context.Background()); err != nil {
		t.Errorf("before that it is not ready: %v", err)
	}
	request := store.OneCatchUp(context.Background())
	if err := s.Read(request, func(*store.Snapshot) error { return nil }); err != nil {
		t.Fatal(err)
	}
	proxy.freeze(t)
	// What belongs to a request that has caught up asks etcd no more.
	if err := s.Read(request, func(*store.Snapshot) error { return nil }); err != nil {
		t.Errorf("the second read of a request: %v", err)
	}
	errs := make(chan error, 3)
	go func() { errs <- s.Read(context.Background(), func(*store.Snapshot) error { return nil }) }()
	go func() { errs <- create("meanwhile") }()
	go func() { errs <- s.Ready(context.Background()) }()
	for range cap(errs) {
		if err := <-errs; !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("meanwhile: %v, want %v", err, store.ErrUnavailable)
		}
	}
	proxy.thaw()
	for err := create("after"); err != nil; err = create("after") {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("after that: %v", err)
		}
	}
	read(t, s, func(snapshot *store.Snapshot) {
		if snapshot.Projects.Len() != 2 {
			t.Errorf("there are %d projects, want those from before and after", snapshot.Projects.Len())
		}
	})
}
