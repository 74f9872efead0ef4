package store

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

// How patient the store is with etcd.
const (
	embeddedStartTimeout = 60 * time.Second
	dialTimeout          = 5 * time.Second
	// A single member has nobody to lose an election to, so short ticks only
	// make it start sooner.
	heartbeatMillis = 20
	electionMillis  = 100
)

// walSegment is how much disk etcd sets aside for its log at a time; twice
// that is in use. Its own size is 64 MB, for clusters with far more to say.
const walSegment = 8 << 20

// setSegmentSize changes what etcd has for all servers of the process, so it
// does it once, before the first of them reads it.
var setSegmentSize = sync.OnceFunc(func() { wal.SegmentSizeBytes = walSegment })

// openEmbedded takes the data directory for this process and starts etcd in it.
func openEmbedded(ctx context.Context, cfg Config) (*clientv3.Client, func(), error) {
	dir := filepath.Join(cfg.DataDir, "etcd")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("making the store's folder: %w", err)
	}
	unlock, err := lock(cfg.DataDir)
	if err != nil {
		return nil, nil, err
	}
	client, stop, err := startEmbedded(ctx, dir, cfg.Logger)
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return client, func() {
		stop()
		unlock()
	}, nil
}

// startEmbedded runs etcd in this process, with no listener at all: the
// client calls the server's functions.
func startEmbedded(ctx context.Context, dir string, logger *slog.Logger) (*clientv3.Client, func(), error) {
	setSegmentSize()
	cfg := embed.NewConfig()
	cfg.Dir = dir
	cfg.ListenPeerUrls = nil
	cfg.ListenClientUrls = nil
	cfg.TickMs = heartbeatMillis
	cfg.ElectionMs = electionMillis
	// The history serves nobody but watches, which never lag that far.
	cfg.AutoCompactionMode = embed.CompactorModeRevision
	cfg.AutoCompactionRetention = "10000"
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapLogger(logger))

	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("starting the embedded etcd in %s: %w", dir, err)
	}
	ctx, cancel := context.WithTimeout(ctx, embeddedStartTimeout)
	defer cancel()
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		server.Close()
		return nil, nil, fmt.Errorf("starting the embedded etcd in %s: %w", dir, err)
	case <-ctx.Done():
		server.Close()
		return nil, nil, fmt.Errorf("waiting for the embedded etcd in %s: %w", dir, ctx.Err())
	}
	client := v3client.New(server.Server)
	return client, func() {
		_ = client.Close()
		server.Close()
	}, nil
}

// connect uses an etcd that runs elsewhere.
func connect(ctx context.Context, cfg Config) (*clientv3.Client, func(), error) {
	endpoints := strings.Join(cfg.Endpoints, ",")
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   cfg.Endpoints,
		DialTimeout: dialTimeout,
		Logger:      zapLogger(cfg.Logger),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("connecting to etcd at %s: %w", endpoints, err)
	}
	// The client connects lazily; a wrong endpoint shall show here.
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if _, err := client.Get(ctx, lastWriteKey); err != nil {
		_ = client.Close()
		return nil, nil, fmt.Errorf("connecting to etcd at %s: %w", endpoints, err)
	}
	return client, func() { _ = client.Close() }, nil
}
