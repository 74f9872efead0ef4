package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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

// Records returns all records in the order of their keys, as of one moment,
// and the version of their format.
func (s *Store) Records(ctx context.Context) ([]Record, int, error) {
	answer, err := s.client.Get(ctx, root, clientv3.WithPrefix())
	if err != nil {
		return nil, 0, fmt.Errorf("reading all records from etcd: %w", err)
	}
	records := make([]Record, 0, len(answer.Kvs))
	for _, kv := range answer.Kvs {
		if s.snapshot.tableOf(kv.Key) == nil {
			continue
		}
		records = append(records, Record{Key: strings.TrimPrefix(string(kv.Key), root), Value: kv.Value})
	}
	return records, schemaVersion, nil
}

// Replace makes the records those that are given and no other. All of them
// are checked before anything is written. What fits into one transaction is
// replaced in one; else whoever must not see it half done, or write
// meanwhile, has to be kept out by the caller.
func (s *Store) Replace(ctx context.Context, version int, records []Record) error {
	if version != schemaVersion {
		return fmt.Errorf("the records are of version %d, and must be of version %d", version, schemaVersion)
	}
	wanted := make(map[string]string, len(records))
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
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}

	answer, err := s.client.Get(ctx, root, clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("reading all records from etcd: %w", err)
	}
	var operations []clientv3.Op
	for _, kv := range answer.Kvs {
		key := string(kv.Key)
		value, stays := wanted[key]
		switch {
		case s.snapshot.tableOf(kv.Key) == nil:
		case !stays:
			operations = append(operations, clientv3.OpDelete(key))
		case value == string(kv.Value):
			delete(wanted, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		operations = append(operations, clientv3.OpPut(key, wanted[key]))
	}
	return s.writeAll(ctx, operations)
}

// writeAll writes as few transactions as etcd takes, and waits for the last.
func (s *Store) writeAll(ctx context.Context, operations []clientv3.Op) error {
	for len(operations) > 0 {
		count, bytes := 0, 0
		for count < len(operations) && count < s.limits.operations {
			bytes += len(operations[count].KeyBytes()) + len(operations[count].ValueBytes())
			if count > 0 && bytes > s.limits.bytes {
				break
			}
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
