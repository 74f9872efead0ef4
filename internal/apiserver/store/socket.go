package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// socketName is where the server of a data directory hands out backups, to
// whoever may enter that directory: an embedded etcd has no other door, and
// two processes cannot have its files.
const socketName = "backup.sock"

// backupTimeout bounds a backup, so that one that nobody reads does not stay.
const backupTimeout = 10 * time.Minute

// inFolder calls fn with a path of a socket that is short enough, however long
// that of its folder is: the kernel takes 107 bytes.
func inFolder(dir, name string, fn func(path string) error) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	short := "/proc/self/fd/" + strconv.FormatUint(uint64(folder.Fd()), 10)
	if _, err := os.Stat(short); err != nil {
		// Other systems than Linux do without.
		short = dir
	}
	return fn(filepath.Join(short, name))
}

// handOutBackups serves the socket until the store is closed. The lock of the
// data directory is held, so what is there is of a server that died.
func (s *Store) handOutBackups(dataDir string) error {
	path := filepath.Join(dataDir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the socket of an earlier server: %w", err)
	}
	var listener net.Listener
	err := inFolder(dataDir, socketName, func(short string) (err error) {
		listener, err = new(net.ListenConfig).Listen(s.background, "unix", short)
		return err
	})
	if err != nil {
		return fmt.Errorf("listening for backups: %w", err)
	}
	// Its name is removed by stop: the one it was bound by is gone by then.
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(fmt.Errorf("protecting the socket for backups: %w", err), listener.Close())
	}
	stop := s.stop
	s.stop = func() {
		_ = listener.Close()
		_ = os.Remove(path)
		stop()
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go s.handOutBackup(connection)
		}
	}()
	return nil
}

func (s *Store) handOutBackup(connection net.Conn) {
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(backupTimeout))
	ctx, cancel := context.WithTimeout(s.background, backupTimeout)
	defer cancel()
	if _, err := s.Backup(ctx, connection); err != nil {
		// The other side sees that the end is missing.
		s.logger.WarnContext(ctx, "A backup was not finished.", "error", err)
	}
}

// backupOfRunning asks the server that has a data directory for a backup, and
// passes it on when it is whole.
func backupOfRunning(ctx context.Context, dataDir string, to io.Writer) (summary Summary, err error) {
	var connection net.Conn
	err = inFolder(dataDir, socketName, func(path string) (err error) {
		connection, err = new(net.Dialer).DialContext(ctx, "unix", path)
		return err
	})
	if err != nil {
		return Summary{}, fmt.Errorf("asking the running server for a backup: %w", err)
	}
	defer connection.Close()
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	defer stop()
	pipe, passed := io.Pipe()
	verified := make(chan error, 1)
	go func() {
		var err error
		summary, err = Verify(pipe)
		// What is left is read, so that whoever writes it does not wait.
		_, _ = io.Copy(io.Discard, pipe)
		verified <- err
	}()
	_, err = io.Copy(io.MultiWriter(to, passed), connection)
	_ = passed.Close()
	err = errors.Join(err, <-verified)
	if err != nil {
		return Summary{}, fmt.Errorf("receiving the backup of the running server: %w", err)
	}
	return summary, nil
}
