package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// entry is a key of etcd that is carried elsewhere, by a migration or by a
// backup.
type entry struct {
	key string
	// created is the revision that the key was made at. The order of these is
	// that of the lists of the API, so it is kept, which the revisions
	// themselves cannot be.
	created int64
	value   []byte
}

// compactions is how often reading is begun anew because etcd forgot the
// revision that was being read.
const compactions = 5

// readEntries reads all that is in one place in etcd, as of one revision, in
// the order in which it was made.
func readEntries(ctx context.Context, client clientv3.KV, place string) (entries []entry, revision int64, err error) {
	for range compactions {
		entries, revision, err = readOnce(ctx, client, place)
		if !errors.Is(err, rpctypes.ErrCompacted) {
			break
		}
	}
	return entries, revision, err
}

func readOnce(ctx context.Context, client clientv3.KV, place string) (entries []entry, revision int64, err error) {
	from, end := place, clientv3.GetPrefixRangeEnd(place)
	for {
		options := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(pageSize)}
		if revision > 0 {
			options = append(options, clientv3.WithRev(revision))
		}
		answer, err := client.Get(ctx, from, options...)
		if err != nil {
			return nil, 0, fmt.Errorf("reading %s from etcd: %w", place, err)
		}
		if revision == 0 {
			revision = answer.Header.Revision
		}
		for _, kv := range answer.Kvs {
			entries = append(entries, entry{key: string(kv.Key), created: kv.CreateRevision, value: kv.Value})
		}
		if !answer.More {
			break
		}
		from = entries[len(entries)-1].key + "\x00"
	}
	sortEntries(entries)
	return entries, revision, nil
}

func sortEntries(entries []entry) {
	slices.SortFunc(entries, func(a, b entry) int {
		if a.created != b.created {
			return int(min(max(a.created-b.created, -1), 1))
		}
		return strings.Compare(a.key, b.key)
	})
}

// writeEntries puts entries, which are in order, so that etcd has them in that
// order too: what was made together is put together, and nothing else with it.
func writeEntries(ctx context.Context, client clientv3.KV, entries []entry) error {
	for len(entries) > 0 {
		n, size := 0, 0
		for n < len(entries) && n < defaultOperations && entries[n].created == entries[0].created {
			if size += len(entries[n].key) + len(entries[n].value); n > 0 && size > batchBytes {
				break
			}
			n++
		}
		operations := make([]clientv3.Op, n)
		for i, e := range entries[:n] {
			operations[i] = clientv3.OpPut(e.key, string(e.value))
		}
		if _, err := client.Txn(ctx).Then(operations...).Commit(); err != nil {
			return fmt.Errorf("writing %s to etcd: %w", entries[0].key, err)
		}
		entries = entries[n:]
	}
	return nil
}

// removePlace deletes all that is in one place in etcd.
func removePlace(ctx context.Context, client clientv3.KV, place string) error {
	answer, err := client.Get(ctx, place, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err == nil && answer.Count > 0 {
		_, err = client.Delete(ctx, place, clientv3.WithPrefix())
	}
	if err != nil {
		return fmt.Errorf("removing %s from etcd: %w", place, err)
	}
	return nil
}
