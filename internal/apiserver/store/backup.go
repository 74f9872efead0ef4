package store

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A backup is a gzip stream of lines, each a JSON object: a header, one line
// for each record in the order in which they were made, and an end with their
// number and a sum of all lines before it. It has all that the records have:
// root passwords, user data, MD5 passwords of BGP, and hashes of tokens.

const (
	backupFormat = "packetyard-backup"
	// backupVersion is that of the lines. The records have their own.
	backupVersion = 1
)

// Summary says what is in a backup.
type Summary struct {
	// Schema is the version of the records' format.
	Schema int `json:"schema"`
	// Revision is etcd's at the moment that the backup shows.
	Revision int64     `json:"revision"`
	TakenAt  time.Time `json:"takenAt"`
	Records  int       `json:"records"`
}

type backupHeader struct {
	Format   string    `json:"format"`
	Version  int       `json:"version"`
	Schema   int       `json:"schema"`
	Revision int64     `json:"revision"`
	TakenAt  time.Time `json:"takenAt"`
}

type backupRecord struct {
	Key string `json:"key"`
	// Created orders the records; only whether it is the same matters.
	Created int64           `json:"created"`
	Value   json.RawMessage `json:"value"`
}

type backupEnd struct {
	Records int    `json:"records"`
	SHA256  string `json:"sha256"`
}

// Backup writes all records as of one moment. They may be read and written
// meanwhile.
func (s *Store) Backup(ctx context.Context, to io.Writer) (Summary, error) {
	return backup(ctx, s.client, to)
}

// Backup writes all records of a store as of one moment: of an etcd cluster,
// of the data directory of a server that runs, or of one that does not.
func Backup(ctx context.Context, cfg Config, to io.Writer) (Summary, error) {
	if len(cfg.Endpoints) > 0 {
		client, stop, err := connect(ctx, cfg)
		if err != nil {
			return Summary{}, err
		}
		defer stop()
		return backup(ctx, client, to)
	}
	if !hasRecords(cfg.DataDir) {
		return Summary{}, fmt.Errorf("data directory %q has no records", cfg.DataDir)
	}
	client, stop, err := openEmbedded(ctx, cfg)
	if err == nil {
		defer stop()
		return backup(ctx, client, to)
	}
	if !isInUse(err) {
		return Summary{}, err
	}
	return backupOfRunning(ctx, cfg.DataDir, to)
}

func backup(ctx context.Context, client reader, to io.Writer) (Summary, error) {
	entries, revision, err := readEntries(ctx, client, top)
	if err != nil {
		return Summary{}, err
	}
	schema, err := schemaIn(entries)
	if err != nil {
		return Summary{}, err
	}
	if err := checkSchema(schema); err != nil {
		return Summary{}, err
	}
	summary := Summary{Schema: schema, Revision: revision, TakenAt: time.Now().UTC().Truncate(time.Second)}
	out := newBackupWriter(to)
	out.line(backupHeader{backupFormat, backupVersion, schema, revision, summary.TakenAt})
	for _, e := range entries {
		key, ok := strings.CutPrefix(e.key, placeOf(schema))
		if !ok || len(e.value) == 0 {
			// Not a record: the mark of the last write, and what elections need.
			continue
		}
		out.line(backupRecord{key, e.created, e.value})
		summary.Records++
	}
	if err := out.end(summary.Records); err != nil {
		return Summary{}, fmt.Errorf("writing the backup: %w", err)
	}
	return summary, nil
}

// schemaIn finds the version of records among entries.
func schemaIn(entries []entry) (int, error) {
	version := 0
	for _, e := range entries {
		switch {
		case e.key == schemaKey:
			return parseSchema(e.value)
		case strings.HasPrefix(e.key, placeOf(1)):
			version = 1
		}
	}
	if version == 0 {
		return 0, fmt.Errorf("there are no records to back up")
	}
	return version, nil
}

// parseSchema reads the version of the records.
func parseSchema(value []byte) (int, error) {
	if string(value) == restoring {
		return 0, errBrokenOff
	}
	version, err := strconv.Atoi(string(value))
	if err != nil || version < 1 {
		return 0, fmt.Errorf("the version of the records, in %s, is %q and not a number", schemaKey, value)
	}
	return version, nil
}
