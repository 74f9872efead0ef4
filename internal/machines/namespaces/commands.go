package namespaces

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/packetyard/packetyard/internal/machines/namespaces/boot"
	"github.com/packetyard/packetyard/internal/machines/namespaces/rack"
	"github.com/packetyard/packetyard/internal/machines/namespaces/unixsock"
	"github.com/packetyard/packetyard/internal/machines/namespaces/wire"
)

// Names of the hidden subcommands.
const (
	rackCommand  = "rack"
	bootCommand  = "boot"
	probeCommand = "probe-host"
)

// Descriptors that the hidden subcommands are started with.
const (
	readyDescriptor  = 3
	inputDescriptor  = 3
	statusDescriptor = 4
)

// rackReady is what a rack writes when it serves.
const rackReady = "ready\n"

// Limits of a rack that nobody needs to choose.
const (
	bootTimeout = 30 * time.Second
	rebootPause = time.Second
	lockTimeout = 10 * time.Second
	// removedInterval is the time between two looks whether the directory is still there.
	removedInterval = time.Second
)

// Commands are the hidden subcommands by which a program becomes a rack, a
// machine's boot stage, or the probe of CheckHost. Every program that calls
// New or CheckHost without naming another Executable has to add them.
func Commands() []*cobra.Command {
	return []*cobra.Command{newRackCommand(), newBootCommand(), newProbeCommand()}
}

// MachinesCommand is the subcommand by which people look at the machines of a
// data directory and stop them.
func MachinesCommand() *cobra.Command {
	command := &cobra.Command{Use: "machines", Short: "Look at the machines of the namespaces driver, or stop them"}
	var dataDirectory string
	command.PersistentFlags().StringVar(&dataDirectory, "data-dir", "", "data directory of the API server")
	list := &cobra.Command{
		Use: "list", Short: "List the machines as JSON", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			client, err := Dial(command.Context(), dataDirectory)
			if err != nil {
				return err
			}
			machines, err := client.List(command.Context())
			if err != nil {
				return err
			}
			encoder := json.NewEncoder(command.OutOrStdout())
			encoder.SetIndent("", "  ")
			return encoder.Encode(machines)
		},
	}
	var remove bool
	stop := &cobra.Command{
		Use: "stop", Short: "End every machine and the rack that holds them", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			client, err := Dial(command.Context(), dataDirectory)
			if err == nil {
				return client.Shutdown(command.Context(), remove)
			}
			if errors.Is(err, ErrNoRack) && remove {
				return RemoveMachines(dataDirectory)
			}
			if errors.Is(err, ErrNoRack) {
				return nil
			}
			return err
		},
	}
	stop.Flags().BoolVar(&remove, "remove", false, "remove the machines' disks too")
	for _, child := range []*cobra.Command{list, stop} {
		if err := command.MarkPersistentFlagRequired("data-dir"); err != nil {
			panic(err) // the flag is defined above
		}
		command.AddCommand(child)
	}
	return command
}

// rackOptions are what a rack is told on its command line.
type rackOptions struct {
	directory     string
	image         string
	userNamespace bool
	stopGrace     time.Duration
}

func rackArguments(options rackOptions) []string {
	return []string{
		rackCommand,
		"--directory=" + options.directory,
		"--image=" + options.image,
		fmt.Sprintf("--user-namespace=%t", options.userNamespace),
		"--stop-grace=" + options.stopGrace.String(),
	}
}

func newRackCommand() *cobra.Command {
	var options rackOptions
	command := &cobra.Command{
		Use: rackCommand, Short: "Hold the machines (started by the API server)", Hidden: true, Args: cobra.NoArgs, SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			ready := os.NewFile(readyDescriptor, "ready")
			syscall.CloseOnExec(readyDescriptor)
			err := runRack(command.Context(), options, ready)
			if err != nil {
				// Who waits for the rack reads this; afterwards only the log does.
				fmt.Fprintln(ready, err)
			}
			return err
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.directory, "directory", "", "directory of the machines")
	flags.StringVar(&options.image, "image", "", "directory of the machine image")
	flags.BoolVar(&options.userNamespace, "user-namespace", true, "give each machine a user namespace")
	flags.DurationVar(&options.stopGrace, "stop-grace", 0, "how long a machine may take to end")
	return command
}

// runRack is the life of a rack: in namespaces of its own, which whoever started it made.
func runRack(ctx context.Context, options rackOptions, ready *os.File) error {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	unix.Umask(0o077)
	// Mounts of the machines stay theirs, while the host's still go when the host unmounts them.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("keeping mounts from the host: %w", err)
	}
	// A rack that was told to end, or whose end the kernel still works on, holds it a little longer.
	limited, cancel := context.WithTimeoutCause(ctx, lockTimeout, errors.New("another rack holds it"))
	defer cancel()
	lockPath := filepath.Join(options.directory, wire.LockName)
	unlock, err := lock(limited, lockPath)
	if err != nil {
		return err
	}
	defer unlock()
	locked, err := os.Stat(lockPath)
	if err != nil {
		return fmt.Errorf("looking at the rack's lock: %w", err)
	}
	held, err := rack.New(rack.Config{
		Directory:      options.directory,
		ImageDirectory: options.image,
		BootCommand:    []string{bootCommand},
		UserNamespace:  options.userNamespace,
		StopGrace:      options.stopGrace,
		BootTimeout:    bootTimeout,
		RebootPause:    rebootPause,
		Now:            time.Now,
		Logger:         logger,
	})
	if err != nil {
		return err
	}
	socket := filepath.Join(options.directory, wire.SocketName)
	// The lock is ours, so a socket that is there belongs to nobody.
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing an old socket: %w", err)
	}
	listener, err := unixsock.Listen(ctx, socket)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(ready, rackReady); err != nil {
		logger.Warn("whoever started the rack is gone", "error", err)
	}
	if err := ready.Close(); err != nil {
		return fmt.Errorf("closing the starter's pipe: %w", err)
	}
	ended, stop := signal.NotifyContext(ctx, unix.SIGTERM, unix.SIGINT)
	defer stop()
	go func() {
		if removed(ended, lockPath, locked) {
			logger.Warn("the machines' directory was removed, ending", "directory", options.directory)
			stop()
		}
	}()
	defer func() {
		// A socket of the same name in a new directory is another rack's.
		if isFile(lockPath, locked) {
			_ = os.Remove(socket)
		}
	}()
	return held.Serve(ended, listener)
}

// removed returns true when path does not lead to the given file any more,
// and false when ctx has ended.
func removed(ctx context.Context, path string, file os.FileInfo) bool {
	ticker := time.NewTicker(removedInterval)
	defer ticker.Stop()
	for isFile(path, file) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func isFile(path string, file os.FileInfo) bool {
	present, err := os.Stat(path)
	return err == nil && os.SameFile(present, file)
}

// newBootCommand is the boot stage; its end as this program is the start of init.
func newBootCommand() *cobra.Command {
	return &cobra.Command{
		Use: bootCommand, Short: "Boot a machine (started by the rack)", Hidden: true, Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error {
			status := os.NewFile(statusDescriptor, "status")
			err := boot.Run(os.NewFile(inputDescriptor, "input"), status)
			fmt.Fprintln(status, err)
			return err
		},
	}
}
