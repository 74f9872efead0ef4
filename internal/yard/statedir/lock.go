package statedir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// LockedError says that another process holds a lock.
type LockedError struct {
	Path string
	// PID is the holder's, 0 where it is not known.
	PID int
}

// Error implements error.
func (e *LockedError) Error() string {
	return fmt.Sprintf("%s is locked by process %d", e.Path, e.PID)
}

// Lock is a lock on a file (an open file description lock, which a child
// process does not inherit because Go closes files on exec). The kernel lets go of it when its holder dies,
// however that happens.
type Lock struct {
	file *os.File
	path string
}

// TryLock locks the file at path, or returns a *LockedError at once where
// another process has it.
func TryLock(path string) (*Lock, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		err = unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			pid := readPID(file)
			file.Close()
			return nil, &LockedError{Path: path, PID: pid}
		}
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		// `down` may have removed the file between opening and locking it; a
		// lock on a removed file would exclude nobody.
		if !isStill(file, path) {
			file.Close()
			continue
		}
		if err := writePID(file); err != nil {
			file.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		return &Lock{file: file, path: path}, nil
	}
}

// Unlock lets go of the lock.
func (l *Lock) Unlock() {
	// Nothing was written that closing could lose.
	_ = l.file.Close()
}

// Lost tells whether the file that is locked is not the one at its path any
// more, because somebody removed it: the lock excludes nobody then, and what
// lies beside it may be somebody else's.
func (l *Lock) Lost() bool { return !isStill(l.file, l.path) }

// Holder returns the process that holds the lock at path, or 0 where none does.
func Holder(path string) (int, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("looking at the lock %s: %w", path, err)
	}
	defer file.Close()
	// Asking for the lock, instead of trying to take it, disturbs nobody who
	// takes it at this moment.
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
		return 0, fmt.Errorf("looking at the lock %s: %w", path, err)
	}
	if lock.Type == unix.F_UNLCK {
		return 0, nil
	}
	return readPID(file), nil
}

func isStill(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	present, err := os.Stat(path)
	return err == nil && os.SameFile(opened, present)
}

func writePID(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func readPID(file *os.File) int {
	content, err := io.ReadAll(io.NewSectionReader(file, 0, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0
	}
	return pid
}
