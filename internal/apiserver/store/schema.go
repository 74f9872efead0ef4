package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Each version of the records' format has its own place in etcd, so that a
// migration can be broken off anywhere: it copies all records to the place of
// the next version, then says in one write that this is the one that counts,
// and removes the old ones.
const (
	// top is where the store begins in etcd, so that it can share one.
	top = "/packetyard/"
	// schemaKey holds the version that counts. Stores of version 1 have none.
	schemaKey = top + "schema"
	// schemaVersion is the version that this program reads and writes.
	schemaVersion = 2
	// root is where the records are.
	root = top + "v2/"
	// lastWriteKey is put by every transaction. Its revision is that of the
	// last write of any process, which costs one small read to learn and which
	// the watch of every process is sure to see.
	lastWriteKey = root + "last-write"
)

// ErrNewerSchema is returned by Open for records that a later version of this
// program wrote. They are left as they are.
var ErrNewerSchema = errors.New("the records are of a newer format")

// placeOf is where the records of a version are.
func placeOf(version int) string { return top + "v" + strconv.Itoa(version) + "/" }

// schemaOf tells the version of the records that are in etcd, and 0 for none.
func schemaOf(ctx context.Context, client clientv3.KV) (int, error) {
	answer, err := client.Get(ctx, schemaKey)
	if err != nil {
		return 0, fmt.Errorf("reading the version of the records: %w", err)
	}
	if len(answer.Kvs) > 0 {
		return parseSchema(answer.Kvs[0].Value)
	}
	answer, err = client.Get(ctx, placeOf(1), clientv3.WithPrefix(), clientv3.WithLimit(1), clientv3.WithKeysOnly())
	if err != nil {
		return 0, fmt.Errorf("looking for records without a version: %w", err)
	}
	return int(min(answer.Count, 1)), nil
}

// checkSchema refuses a version that this program does not know.
func checkSchema(version int) error {
	if version > schemaVersion {
		return fmt.Errorf("%w: version %d, and this program knows up to %d: start the program that wrote them, or a later one",
			ErrNewerSchema, version, schemaVersion)
	}
	return nil
}

// migrate brings the records to the present version.
func migrate(ctx context.Context, client *clientv3.Client, logger *slog.Logger) error {
	for {
		version, err := schemaOf(ctx, client)
		if err != nil {
			return err
		}
		if err := checkSchema(version); err != nil {
			return err
		}
		switch version {
		case schemaVersion:
			return removeEarlier(ctx, client)
		case 0:
			// Two that start at once write the same.
			if _, err := client.Txn(ctx).
				If(clientv3.Compare(clientv3.CreateRevision(schemaKey), "=", 0)).
				Then(clientv3.OpPut(schemaKey, strconv.Itoa(schemaVersion))).
				Commit(); err != nil {
				return fmt.Errorf("writing the version of the records: %w", err)
			}
		default:
			logger.InfoContext(ctx, "Bringing the records to a newer format.", "from", version, "to", version+1)
			if err := migrateFrom(ctx, client, version); err != nil {
				return fmt.Errorf("migrating the records from version %d to %d: %w", version, version+1, err)
			}
		}
	}
}
