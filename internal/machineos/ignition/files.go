package ignition

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// What nodes get that name no permissions.
const (
	defaultFileMode      = 0o644
	defaultDirectoryMode = 0o755
)

var errExists = errors.New("something is there already, and overwrite is not true")

// fileMode puts the bits of a mode into Go's words.
func fileMode(mode *int, otherwise int) os.FileMode {
	number := otherwise
	if mode != nil {
		number = *mode
	}
	result := os.FileMode(number) & fs.ModePerm
	for bit, flag := range map[int]os.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if number&bit != 0 {
			result |= flag
		}
	}
	return result
}

// prepare makes a node's directory, and removes what is in its way if it may.
// It tells what stays there, which is nil where nothing does.
func (e *Executor) prepare(n node, overwrite bool) (fs.FileInfo, error) {
	if !filepath.IsAbs(n.path) {
		return nil, errors.New("its path must be absolute")
	}
	if n.owner != "" {
		e.Printf("ignition: %s belongs to %s in name only: all files of the machine are root's", n.path, n.owner)
	}
	target := e.path(n.path)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return nil, fmt.Errorf("making its directory: %w", err)
	}
	info, err := os.Lstat(target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking what is there: %w", err)
	}
	if !overwrite {
		return info, nil
	}
	if err := os.RemoveAll(target); err != nil {
		return nil, fmt.Errorf("removing what is there: %w", err)
	}
	return nil, nil
}

func (e *Executor) makeDirectory(one directory) error {
	there, err := e.prepare(one.node, deref(one.overwrite))
	if err != nil {
		return err
	}
	target := e.path(one.path)
	if there != nil && !there.IsDir() {
		// A link to a directory is one, as /var/run is.
		if info, err := os.Stat(target); err != nil || !info.IsDir() {
			return errExists
		}
	}
	if there == nil {
		if err := os.Mkdir(target, 0o700); err != nil {
			return fmt.Errorf("making it: %w", err)
		}
	} else if one.mode == nil {
		return nil
	}
	if err := os.Chmod(target, fileMode(one.mode, defaultDirectoryMode)); err != nil {
		return fmt.Errorf("setting its permissions: %w", err)
	}
	return nil
}

func (e *Executor) writeFile(ctx context.Context, one file) error {
	if one.contents != nil {
		if found, err := e.installRelease(one); found || err != nil {
			return err
		}
	}
	// What is written is read first, so that a source that does not answer
	// leaves what was there.
	var content []byte
	for _, source := range append(one.first(), one.appended...) {
		more, err := e.fetch(ctx, source)
		if err != nil {
			return err
		}
		content = append(content, more...)
	}
	overwrite := one.contents != nil && (deref(one.overwrite) || (one.overwrite == nil && one.replaces))
	there, err := e.prepare(one.node, overwrite)
	if err != nil {
		return err
	}
	if there != nil && (one.contents != nil || there.IsDir()) {
		return errExists
	}
	// The file is made private first: what is written may be a secret.
	opened, err := os.OpenFile(e.path(one.path), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening it: %w", err)
	}
	_, writeErr := opened.Write(content)
	if err := errors.Join(writeErr, opened.Close()); err != nil {
		return fmt.Errorf("writing it: %w", err)
	}
	if there != nil && one.mode == nil {
		return nil
	}
	if err := os.Chmod(e.path(one.path), fileMode(one.mode, defaultFileMode)); err != nil {
		return fmt.Errorf("setting its permissions: %w", err)
	}
	return nil
}

// first is the source that begins the file, if there is one.
func (f file) first() []resource {
	if f.contents == nil {
		return nil
	}
	return []resource{*f.contents}
}

func (e *Executor) makeLink(one link) error {
	there, err := e.prepare(one.node, deref(one.overwrite))
	if err != nil {
		return err
	}
	link := e.path(one.path)
	if there != nil {
		if present, err := os.Readlink(link); err == nil && !one.hard && present == one.target {
			return nil
		}
		return errExists
	}
	if one.hard {
		err = os.Link(e.path(one.target), link)
	} else {
		err = os.Symlink(one.target, link)
	}
	if err != nil {
		return fmt.Errorf("making the link: %w", err)
	}
	return nil
}
