package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// reader is what reads etcd.
type reader = clientv3.KV

var (
	// ErrNotEmpty is returned by Restore where there are records already.
	ErrNotEmpty = errors.New("there are records already")
	// errBrokenOff is returned for records that Restore did not finish.
	errBrokenOff = errors.New("a restore of the records was broken off: restore them again, over what is there")
)

// restoring is in place of the version while records are restored.
const restoring = "restoring"

// Restore makes the records of a store those of a backup. The backup is read
// and checked as a whole before anything is written. Records that exist are an
// error, unless overwrite is set: those of a data directory are then put
// aside, in a folder beside them, and those of a cluster removed. No server
// may run on the store.
func Restore(ctx context.Context, cfg Config, from io.Reader, overwrite bool) (Summary, error) {
	summary, entries, err := readBackup(from)
	if err != nil {
		return Summary{}, err
	}
	if err := checkEntries(summary.Schema, entries); err != nil {
		return Summary{}, err
	}
	if len(cfg.Endpoints) > 0 {
		return summary, restoreCluster(ctx, cfg, summary.Schema, entries, overwrite)
	}
	return summary, restoreEmbedded(ctx, cfg, summary.Schema, entries, overwrite)
}

// checkEntries finds records of the present format that it cannot read.
func checkEntries(schema int, entries []entry) error {
	if schema != schemaVersion {
		// The migration does, when the server starts.
		return nil
	}
	snapshot := newSnapshot()
	for _, e := range entries {
		table := snapshot.tableOf([]byte(e.key))
		if table == nil {
			return fmt.Errorf("%w: %s is no record", ErrBadBackup, e.key)
		}
		if _, err := table.decode(&mvccpb.KeyValue{Key: []byte(e.key), Value: e.value}); err != nil {
			return fmt.Errorf("%w: %w", ErrBadBackup, err)
		}
	}
	return nil
}

func restoreCluster(ctx context.Context, cfg Config, schema int, entries []entry, overwrite bool) error {
	client, stop, err := connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer stop()
	leaders, err := client.Get(ctx, leaderKey, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return fmt.Errorf("looking for servers: %w", err)
	}
	if leaders.Count > 0 {
		return fmt.Errorf("servers run on this etcd: end all of them, and wait %d seconds for those that died", leaderLease)
	}
	present, err := client.Get(ctx, top, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return fmt.Errorf("looking for records: %w", err)
	}
	if present.Count > 0 && !overwrite {
		return fmt.Errorf("%w in the etcd at %v, under %s", ErrNotEmpty, cfg.Endpoints, top)
	}
	return restore(ctx, client, schema, entries)
}

func restoreEmbedded(ctx context.Context, cfg Config, schema int, entries []entry, overwrite bool) (err error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	dir := filepath.Join(cfg.DataDir, etcdFolder)
	unlock, err := lock(cfg.DataDir)
	if err != nil {
		return err
	}
	defer unlock()
	if hasRecords(cfg.DataDir) {
		if !overwrite {
			return fmt.Errorf("%w in the data directory %q", ErrNotEmpty, cfg.DataDir)
		}
		aside := dir + ".replaced-" + time.Now().UTC().Format("20060102T150405Z")
		if err := os.Rename(dir, aside); err != nil {
			return fmt.Errorf("putting the present records aside: %w", err)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the store's folder: %w", err)
	}
	client, stop, err := startEmbedded(ctx, dir, cfg.Logger)
	if err != nil {
		return err
	}
	defer stop()
	return restore(ctx, client, schema, entries)
}

// restore writes entries where nobody reads. Until the last of them is there,
// no server starts on them.
func restore(ctx context.Context, client *clientv3.Client, schema int, entries []entry) error {
	if _, err := client.Put(ctx, schemaKey, restoring); err != nil {
		return fmt.Errorf("beginning the restore: %w", err)
	}
	for version := 1; version <= schemaVersion; version++ {
		if err := removePlace(ctx, client, placeOf(version)); err != nil {
			return err
		}
	}
	if err := writeEntries(ctx, client, entries); err != nil {
		return err
	}
	last := clientv3.OpPut(schemaKey, strconv.Itoa(schema))
	if schema == 1 {
		last = clientv3.OpDelete(schemaKey)
	}
	if _, err := client.Do(ctx, last); err != nil {
		return fmt.Errorf("ending the restore: %w", err)
	}
	return nil
}

// hasRecords tells whether a data directory has an embedded etcd.
func hasRecords(dataDir string) bool {
	files, err := os.ReadDir(filepath.Join(dataDir, etcdFolder))
	return err == nil && len(files) > 0
}
