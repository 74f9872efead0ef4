package lifecycle

import (
	"context"
	"log/slog"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/none"
	"github.com/packetyard/packetyard/pkg/packet"
)

// counting counts the machines that one server made.
type counting struct {
	machines.Driver
	made atomic.Int32
}

func (c *counting) Provision(ctx context.Context, spec machines.Spec) error {
	c.made.Add(1)
	return c.Driver.Provision(ctx, spec)
}

// replica is a worker with a store of its own on a shared etcd.
type replica struct {
	store  *store.Store
	driver *counting
	ready  chan struct{}
	ended  chan error
	cancel context.CancelFunc
}

func startReplica(t *testing.T, endpoints []string) *replica {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	records, err := store.Open(t.Context(), store.Config{Endpoints: endpoints, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(records.Close)
	r := &replica{store: records, driver: &counting{Driver: none.New()}, ready: make(chan struct{}, 10), ended: make(chan error, 1)}
	worker := New(Config{Store: records, Driver: r.driver, Catalogue: catalogue.New(), Clock: SystemClock{}, Profile: Instant, Logger: quiet})
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.ended <- worker.Run(ctx, func() { r.ready <- struct{}{} }) }()
	t.Cleanup(cancel)
	return r
}

// makeActive makes devices on one replica, and waits until some worker made
// them active.
func (r *replica) makeActive(t *testing.T, ids ...string) {
	t.Helper()
	feed := r.store.Subscribe()
	defer r.store.Unsubscribe(feed)
	for _, id := range ids {
		if err := r.store.Update(t.Context(), func(tx *store.Tx) error {
			device := &store.Device{ID: id, ProjectID: "p"}
			Queue(device, time.Now())
			tx.Devices.Create(tx, device)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for active := 0; active < len(ids); {
		select {
		case <-feed.Changed():
			feed.Take()
		case <-time.After(time.Minute):
			t.Fatalf("%d of %d devices are active", active, len(ids))
		}
		active = 0
		r.store.Peek(func(s *store.Snapshot) {
			for _, id := range ids {
				if row, ok := s.Devices.Get(id); ok && row.Value.State == packet.StateActive {
					active++
				}
			}
		})
	}
}

// TestOneReplicaDrivesTheMachines has three of them, and takes the leader away
// twice: once it says so, and once it just is not heard of any more.
func TestOneReplicaDrivesTheMachines(t *testing.T) {
	cfg := embed.NewConfig()
	cfg.Dir = t.TempDir()
	cfg.ListenPeerUrls = nil
	cfg.ListenClientUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.TickMs, cfg.ElectionMs = 20, 100
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	<-etcd.Server.ReadyNotify()
	endpoints := []string{"http://" + etcd.Clients[0].Addr().String()}

	first := startReplica(t, endpoints)
	<-first.ready
	second := startReplica(t, endpoints)
	<-second.ready
	third := startReplica(t, endpoints)
	<-third.ready

	second.makeActive(t, "a", "b", "c")
	if first.driver.made.Load() != 3 || second.driver.made.Load()+third.driver.made.Load() != 0 {
		t.Errorf("the replicas made %d, %d and %d machines, want 3 by the first alone",
			first.driver.made.Load(), second.driver.made.Load(), third.driver.made.Load())
	}

	first.cancel()
	if err := <-first.ended; err != nil {
		t.Error(err)
	}
	third.makeActive(t, "d")
	made := second.driver.made.Load() + third.driver.made.Load()
	if made != 1 {
		t.Errorf("the others made %d machines after the first ended, want 1", made)
	}

	leader, other := second, third
	if third.driver.made.Load() == 1 {
		leader, other = third, second
	}
	// It is not heard of any more, and has not resigned.
	leader.store.Close()
	other.makeActive(t, "e")
	if other.driver.made.Load() != 1 || leader.driver.made.Load() != 1 {
		t.Errorf("the last replica made %d machines, and the one that died %d, want 1 each", other.driver.made.Load(), leader.driver.made.Load())
	}
}
