package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Record is a record as it is in etcd.
type Record struct {
	// Key is without the place of the format's version.
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

// Records returns all records in the order in which they were made, which is
// that of the API's lists, as of one moment, and the version of their format.
func (s *Store) Records(ctx context.Context) ([]Record, int, error) {
	entries, _, err := readEntries(ctx, s.client, root)
	if err != nil {
		return nil, 0, err
	}
	records := make([]Record, 0, len(entries))
	for _, entry := range entries {
		if s.snapshot.tableOf([]byte(entry.key)) == nil {
			continue
		}
		records = append(records, Record{Key: strings.TrimPrefix(entry.key, root), Value: entry.value})
	}
	return records, schemaVersion, nil
}

// Replace makes the records those that are given, in that order, and no other.
// All of them are checked before anything is written. It may take several
// transactions: whoever must not see it half done, or write meanwhile, has to
// be kept out by the caller.
func (s *Store) Replace(ctx context.Context, version int, records []Record) error {
	if version != schemaVersion {
		return fmt.Errorf("the records are of version %d, and must be of version %d", version, schemaVersion)
	}
	wanted := make(map[string]string, len(records))
	var order []string
	var problems []error
	for i, record := range records {
		key := root + record.Key
		if _, twice := wanted[key]; twice {
			problems = append(problems, fmt.Errorf("records[%d]: key %q is there twice", i, record.Key))
			continue
		}
		table := s.snapshot.tableOf([]byte(key))
		if table == nil {
			problems = append(problems, fmt.Errorf("records[%d]: key %q belongs to no kind of record", i, record.Key))
			continue
		}
		if _, err := table.decode(&mvccpb.KeyValue{Key: []byte(key), Value: record.Value}); err != nil {
			problems = append(problems, fmt.Errorf("records[%d]: %w", i, err))
			continue
		}
		wanted[key] = string(record.Value)
		order = append(order, key)
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}

	entries, _, err := readEntries(ctx, s.client, root)
	if err != nil {
		return err
	}
	present := make(map[string]string, len(entries))
	for _, entry := range entries {
		present[entry.key] = string(entry.value)
	}
	// What has its place in the order stays where it is. From the first record
	// on that is out of it, all are made anew, since only that moves one.
	kept := s.inPlace(order, entries)
	stays := make(map[string]struct{}, kept)
	for _, key := range order[:kept] {
		stays[key] = struct{}{}
	}
	var removals, puts []clientv3.Op
	for _, entry := range entries {
		if _, ok := stays[entry.key]; !ok && s.snapshot.tableOf([]byte(entry.key)) != nil {
			removals = append(removals, clientv3.OpDelete(entry.key))
		}
	}
	for i, key := range order {
		if i >= kept || present[key] != wanted[key] {
			puts = append(puts, clientv3.OpPut(key, wanted[key]))
		}
	}
	if err := s.writeAll(ctx, removals); err != nil {
		return err
	}
	return s.writeAll(ctx, puts)
}

// inPlace counts the first of some keys that etcd has in the same order.
func (s *Store) inPlace(order []string, entries []entry) int {
	at := 0
	for _, entry := range entries {
		if at < len(order) && entry.key == order[at] {
			at++
		}
	}
	return at
}

// writeAll writes as few transactions as etcd takes and as the order of the
// operations allows, and waits for the last: what is made in one transaction
// is listed by its keys.
func (s *Store) writeAll(ctx context.Context, operations []clientv3.Op) error {
	for len(operations) > 0 {
		count, bytes, last := 0, 0, ""
		for count < len(operations) && count < s.limits.operations {
			key := string(operations[count].KeyBytes())
			bytes += len(key) + len(operations[count].ValueBytes())
			if count > 0 && (bytes > s.limits.bytes || operations[count].IsPut() && key < last) {
				break
			}
			last = key
			count++
		}
		batch := append(slices.Clone(operations[:count]), clientv3.OpPut(lastWriteKey, ""))
		answer, err := s.client.Txn(ctx).Then(batch...).Commit()
		if err != nil {
			return fmt.Errorf("writing to etcd: %w", err)
		}
		if err := s.waitFor(ctx, answer.Header.Revision); err != nil {
			return err
		}
		operations = operations[count:]
	}
	return nil
}
