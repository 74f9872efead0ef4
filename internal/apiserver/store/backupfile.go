package store

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
)

// ErrBadBackup is returned for a backup that is not whole, or not one.
var ErrBadBackup = errors.New("this is not a whole backup")

// backupWriter writes the lines of a backup, and keeps the first error.
type backupWriter struct {
	zip   *gzip.Writer
	lines *bufio.Writer
	sum   hash.Hash
	err   error
}

func newBackupWriter(to io.Writer) *backupWriter {
	zip := gzip.NewWriter(to)
	return &backupWriter{zip: zip, lines: bufio.NewWriter(zip), sum: sha256.New()}
}

func (w *backupWriter) line(value any) {
	if w.err != nil {
		return
	}
	data, err := json.Marshal(value)
	if err != nil {
		w.err = err
		return
	}
	data = append(data, '\n')
	w.sum.Write(data)
	_, w.err = w.lines.Write(data)
}

func (w *backupWriter) end(records int) error {
	w.line(backupEnd{records, hex.EncodeToString(w.sum.Sum(nil))})
	return errors.Join(w.err, w.lines.Flush(), w.zip.Close())
}

// readBackup reads a whole backup, and returns no record of one that is not
// whole.
func readBackup(from io.Reader) (Summary, []entry, error) {
	summary, entries, err := readLines(from)
	if err != nil {
		return Summary{}, nil, fmt.Errorf("reading the backup: %w", err)
	}
	return summary, entries, nil
}

func readLines(from io.Reader) (summary Summary, entries []entry, err error) {
	zip, err := gzip.NewReader(from)
	if err != nil {
		return summary, nil, fmt.Errorf("%w: %w", ErrBadBackup, err)
	}
	lines, sum := bufio.NewReader(zip), sha256.New()
	next := func() ([]byte, error) {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil, fmt.Errorf("%w: it ends too early: %w", ErrBadBackup, err)
		}
		return line, nil
	}

	line, err := next()
	if err != nil {
		return summary, nil, err
	}
	var header backupHeader
	if err := json.Unmarshal(line, &header); err != nil || header.Format != backupFormat {
		return summary, nil, fmt.Errorf("%w: it does not begin as one", ErrBadBackup)
	}
	if header.Version != backupVersion {
		return summary, nil, fmt.Errorf("the backup is of version %d, and this program reads version %d", header.Version, backupVersion)
	}
	if header.Schema < 1 {
		return summary, nil, fmt.Errorf("%w: its records are of version %d", ErrBadBackup, header.Schema)
	}
	if err := checkSchema(header.Schema); err != nil {
		return summary, nil, err
	}
	summary = Summary{Schema: header.Schema, Revision: header.Revision, TakenAt: header.TakenAt}
	for {
		sum.Write(line)
		if line, err = next(); err != nil {
			return summary, nil, err
		}
		var end backupEnd
		if err := json.Unmarshal(line, &end); err == nil && end.SHA256 != "" {
			if end.Records != len(entries) || end.SHA256 != hex.EncodeToString(sum.Sum(nil)) {
				return summary, nil, fmt.Errorf("%w: its sum is another", ErrBadBackup)
			}
			break
		}
		var record backupRecord
		if err := json.Unmarshal(line, &record); err != nil || record.Key == "" || len(bytes.TrimSpace(record.Value)) == 0 {
			return summary, nil, fmt.Errorf("%w: line %d is no record", ErrBadBackup, len(entries)+2)
		}
		entries = append(entries, entry{placeOf(header.Schema) + record.Key, record.Created, record.Value})
	}
	if _, err := lines.ReadByte(); !errors.Is(err, io.EOF) {
		return summary, nil, fmt.Errorf("%w: something follows its end", ErrBadBackup)
	}
	summary.Records = len(entries)
	sortEntries(entries)
	return summary, entries, nil
}

// Verify reads a backup and tells what is in it.
func Verify(from io.Reader) (Summary, error) {
	summary, entries, err := readBackup(from)
	if err != nil {
		return Summary{}, err
	}
	return summary, checkEntries(summary.Schema, entries)
}
