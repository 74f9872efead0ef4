package namespaces

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/packetyard/packetyard/internal/machines/namespaces/wire"
)

// launchTimeout is how long a rack may take to be ready.
const launchTimeout = 30 * time.Second

// ensureRack makes sure that a rack runs and knows the machine image.
func (d *Driver) ensureRack(ctx context.Context) error {
	directory := wire.Directory(d.config.DataDir)
	// Of several processes that find no rack, one starts it.
	unlock, err := lock(ctx, filepath.Join(directory, wire.StartLockName))
	if err != nil {
		return err
	}
	defer unlock()
	status, err := d.client.status(ctx)
	if errors.Is(err, ErrNoRack) {
		return d.launch(ctx, directory)
	}
	if err != nil {
		return err
	}
	if status.ImageDirectory == d.config.ImageDir {
		return nil
	}
	return d.client.call(ctx, http.MethodPut, wire.ImagePath, "", wire.Image{Directory: d.config.ImageDir}, nil)
}

// launch starts a rack and waits until it serves.
func (d *Driver) launch(ctx context.Context, directory string) error {
	check := CheckConfig{Dir: d.config.DataDir, Executable: d.config.Executable, Probe: d.config.probe}.complete()
	separate, problems := examine(ctx, check)
	if len(problems) > 0 {
		return HostError{Problems: problems}
	}
	log, err := os.OpenFile(filepath.Join(directory, wire.LogName), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the rack's log: %w", err)
	}
	defer log.Close()
	ready, readyWriter, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	defer ready.Close()
	// It is not to end when whoever waits for its start does not wait any longer.
	command := exec.CommandContext(context.WithoutCancel(ctx), d.config.Executable, rackArguments(rackOptions{
		directory:     directory,
		image:         d.config.ImageDir,
		userNamespace: separate,
		stopGrace:     d.config.StopGrace,
	})...)
	// Nothing of the API server's environment, where its token is, reaches the machines.
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	command.Dir = directory
	command.Stdout, command.Stderr = log, log
	command.ExtraFiles = []*os.File{readyWriter}
	command.SysProcAttr = rackAttributes(separate)
	err = command.Start()
	readyWriter.Close()
	if err != nil {
		return fmt.Errorf("starting the rack: %w", err)
	}
	// The rack lives on without us; while we live, we see to its end.
	go func() { _ = command.Wait() }()
	ctx, cancel := context.WithTimeoutCause(ctx, launchTimeout, fmt.Errorf("it was not ready after %s", launchTimeout))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	text, err := io.ReadAll(ready)
	switch {
	case string(text) == rackReady:
		d.config.Logger.Info("rack runs", "pid", command.Process.Pid, "directory", directory)
		return nil
	case len(text) > 0:
		return fmt.Errorf("starting the rack: %s", strings.TrimSpace(string(text)))
	case ctx.Err() != nil:
		_ = command.Process.Kill()
		return fmt.Errorf("starting the rack: %w", context.Cause(ctx))
	default:
		return errors.Join(fmt.Errorf("the rack ended while it started, see %s", log.Name()), err)
	}
}

// rackAttributes puts the rack into namespaces of its own and lets go of it:
// no terminal, no signal to our process group reaches it.
func rackAttributes(userNamespace bool) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
	}
	if userNamespace {
		attributes.Cloneflags |= unix.CLONE_NEWUSER
		attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attributes
}

// lock takes the lock of a file and returns what gives it back.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening a lock: %w", err)
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			file.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			file.Close()
			return nil, fmt.Errorf("waiting for the lock %s: %w", path, context.Cause(ctx))
		}
	}
}
