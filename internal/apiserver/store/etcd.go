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
	keepAliveTime        = 3 * time.Second
	keepAliveTimeout     = 3 * time.Second
	// A single member has nobody to lose an election to, so short ticks only
	// make it start sooner.
	heartbeatMillis = 20
	electionMillis  = 100
)

// embeddedOperations is how many operations a transaction may have.
const embeddedOperations = 4096

// quotaBytes is how large etcd's file may grow, at about 4 KB for a device.
// etcd advises against more.
const quotaBytes = 8 << 30

// snapshotCount is after how many transactions etcd shortens its log.
const snapshotCount = 200

// etcdFolder is where the embedded etcd has its files, in the data directory.
const etcdFolder = "etcd"

// walSegment is how much disk etcd sets aside for its log at a time; twice
// that is in use. Its own size is 64 MB, for clusters with far more to say.
const walSegment = 8 << 20

// setSegmentSize changes what etcd has for all servers of the process, so it
// does it once, before the first of them reads it.
var setSegmentSize = sync.OnceFunc(func() { wal.SegmentSizeBytes = walSegment })

// openEmbedded takes the data directory for this process and starts etcd in it.
func openEmbedded(ctx context.Context, cfg Config) (*clientv3.Client, func(), error) {
	dir := filepath.Join(cfg.DataDir, etcdFolder)
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
	cfg.AutoCompactionRetention = "1000"
	// What compaction frees is given back when the server starts the next time.
	cfg.BootstrapDefragThresholdMegabytes = 64
	cfg.QuotaBackendBytes = quotaBytes
	cfg.MaxTxnOps = embeddedOperations + 8
	// etcd keeps the log in memory until its next snapshot, and an entry of it
	// is as large as all that was written together.
	cfg.SnapshotCount = snapshotCount
	cfg.SnapshotCatchUpEntries = snapshotCount / 2
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
	secure, err := cfg.TLS.config()
	if err != nil {
		return nil, nil, fmt.Errorf("connecting to etcd at %s: %w", endpoints, err)
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   cfg.Endpoints,
		TLS:         secure,
		DialTimeout: dialTimeout,
		// A member whose host is gone does not close its connections.
		DialKeepAliveTime:    keepAliveTime,
		DialKeepAliveTimeout: keepAliveTimeout,
		Logger:               zapLogger(cfg.Logger),
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
