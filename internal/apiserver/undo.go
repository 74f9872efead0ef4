package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// undoFile holds, in the data directory, the records as they were before a
// change that takes more than one transaction. It is there only while such a
// change is being made: a server that finds it when it starts died in the
// middle of one, and undoes it.
const undoFile = "undo.json"

// undoTimeout is how long undoing may take; whoever asked may be gone.
const undoTimeout = time.Minute

// undoable calls fn, and where that fails makes the records what they were.
func (s *Server) undoable(ctx context.Context, before savedRecords, fn func() error) error {
	path := filepath.Join(s.cfg.DataDir, undoFile)
	if err := writeUndo(path, before); err != nil {
		return fmt.Errorf("noting what the records were: %w", err)
	}
	if err := fn(); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		if undoing := s.store.Replace(ctx, before.Version, before.Records); undoing != nil {
			// The file stays, for the next start.
			return errors.Join(err, fmt.Errorf("undoing what was done before that: %w", undoing))
		}
		return errors.Join(err, os.Remove(path))
	}
	return os.Remove(path)
}

// undoEarlier undoes what an earlier run of the server died in the middle of.
func (s *Server) undoEarlier(ctx context.Context) error {
	path := filepath.Join(s.cfg.DataDir, undoFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var before savedRecords
	if err == nil {
		err = json.Unmarshal(data, &before)
	}
	if err == nil {
		s.cfg.Logger.WarnContext(ctx, "The server ended while it exchanged all records; undoing that.", "file", path)
		err = s.store.Replace(ctx, before.Version, before.Records)
	}
	if err != nil {
		return fmt.Errorf("undoing the unfinished change that %s is about: %w", path, err)
	}
	return os.Remove(path)
}

// writeUndo puts the whole file in its place, or none of it, before anything
// is changed.
func writeUndo(path string, before savedRecords) error {
	data, err := json.Marshal(before)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), undoFile+".*")
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
