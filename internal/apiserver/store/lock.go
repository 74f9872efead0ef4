package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockName is the file whose lock says that a process has the embedded etcd's
// folder. The kernel lets go of the lock when the process ends, however it
// ends, so the file itself means nothing and stays.
const lockName = "etcd.lock"

// errInUse is for a data directory that another process has.
var errInUse = errors.New("in use by another server")

func isInUse(err error) bool { return errors.Is(err, errInUse) }

// lock takes a data directory for this process, until unlock. Without it etcd
// would wait for its files for as long as another server has them, and could
// not be told to stop.
func lock(dataDir string) (unlock func(), err error) {
	path := filepath.Join(dataDir, lockName)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %q is %w: end that one, or choose another directory", dataDir, errInUse)
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { _ = file.Close() }, nil
}
