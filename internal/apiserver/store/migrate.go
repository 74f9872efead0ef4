package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

const (
	// migrationKey is the lock of whoever migrates.
	migrationKey = top + "migration"
	// migrationLease is how many seconds another process waits for one that
	// died while it migrated.
	migrationLease = 10
)

// migrations bring the records of a version, by the version, to the next one.
// They get and return entries whose keys are without the version's place.
func migrations() map[int]func([]entry) ([]entry, error) {
	return map[int]func([]entry) ([]entry, error){1: foldSteps}
}

// migrateFrom copies the records of a version to the place of the next one,
// and then says that it is the one that counts. Whoever dies on the way leaves
// the records as they were; the next to try begins anew.
func migrateFrom(ctx context.Context, client *clientv3.Client, version int) (err error) {
	convert, ok := migrations()[version]
	if !ok {
		return fmt.Errorf("there is no way from version %d", version)
	}
	session, err := concurrency.NewSession(client, concurrency.WithTTL(migrationLease), concurrency.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("making the lease of the migration: %w", err)
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	mutex := concurrency.NewMutex(session, migrationKey)
	if err := mutex.Lock(ctx); err != nil {
		return fmt.Errorf("waiting for another migration: %w", err)
	}
	if now, err := schemaOf(ctx, client); err != nil || now != version {
		// Another process did it while this one waited.
		return err
	}

	from, to := placeOf(version), placeOf(version+1)
	if err := removePlace(ctx, client, to); err != nil {
		return err
	}
	entries, revision, err := readEntries(ctx, client, from)
	if err != nil {
		return err
	}
	for i := range entries {
		entries[i].key = strings.TrimPrefix(entries[i].key, from)
	}
	if entries, err = convert(entries); err != nil {
		return err
	}
	for i := range entries {
		entries[i].key = to + entries[i].key
	}
	if err := writeEntries(ctx, client, entries); err != nil {
		return err
	}
	// A server of the earlier version that still runs may have written.
	answer, err := client.Txn(ctx).
		If(mutex.IsOwner(),
			clientv3.Compare(clientv3.ModRevision(from), "<", revision+1).WithPrefix(),
			schemaIs(version)).
		Then(clientv3.OpPut(schemaKey, strconv.Itoa(version+1))).
		Commit()
	if err != nil {
		return fmt.Errorf("writing the version of the records: %w", err)
	}
	if !answer.Succeeded {
		return errors.New("the records changed meanwhile: end all servers of the earlier version first")
	}
	return nil
}

// schemaIs holds while a version counts.
func schemaIs(version int) clientv3.Cmp {
	if version == 1 {
		return clientv3.Compare(clientv3.CreateRevision(schemaKey), "=", 0)
	}
	return clientv3.Compare(clientv3.Value(schemaKey), "=", strconv.Itoa(version))
}

// removeEarlier removes what a migration left behind.
func removeEarlier(ctx context.Context, client clientv3.KV) error {
	for version := 1; version < schemaVersion; version++ {
		if err := removePlace(ctx, client, placeOf(version)); err != nil {
			return err
		}
	}
	return nil
}
