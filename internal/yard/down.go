package yard

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/packetyard/packetyard/internal/yard/progress"
	"github.com/packetyard/packetyard/internal/yard/statedir"
	"github.com/packetyard/packetyard/internal/yard/supervisor"
)

// Down ends everything that runs in a yard and removes its state directory.
// Nothing is asked to clean up first: all of it goes. Where the directory is
// gone already, what still runs for it is ended.
func Down(ctx context.Context, path string, printer *progress.Printer) error {
	dir, err := statedir.Open(path)
	if errors.Is(err, statedir.ErrNoYard) {
		left, findErr := processes(dir).Find()
		if findErr != nil || len(left) > 0 {
			return errors.Join(findErr, endProcesses(ctx, dir, printer))
		}
		printer.Say("Nothing to do: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	lock, err := lockCommands(dir)
	if err != nil {
		return err
	}
	defer lock.Unlock()

	// The supervisor first, because it starts the API server again.
	err = printer.Do("End the Packet API", func(*progress.Step) error { return endSupervisor(ctx, dir) })
	if err != nil {
		return err
	}
	if err := endProcesses(ctx, dir, printer); err != nil {
		return err
	}
	return printer.Do("Remove "+dir.Path(), func(*progress.Step) error { return dir.Remove() })
}

func endProcesses(ctx context.Context, dir statedir.Dir, printer *progress.Printer) error {
	return printer.Do("End the machines", func(*progress.Step) error {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		return processes(dir).EndAll(ctx)
	})
}

// endSupervisor asks the supervisor to end, and with it the API server, which
// then closes its store in order. One that does not is ended with the rest.
func endSupervisor(ctx context.Context, dir statedir.Dir) error {
	report, alive, err := supervisor.ReadReport(dir)
	if err != nil || !alive {
		// Whatever still runs is found on the host in the next step.
		return nil //nolint:nilerr // See above.
	}
	if err := syscall.Kill(report.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("ending the supervisor (process %d): %w", report.PID, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Second, errTimeout)
	defer cancel()
	err = poll(ctx, 20*time.Millisecond, func(context.Context) (bool, error) {
		holder, err := statedir.Holder(dir.SupervisorLock())
		return holder == 0, err
	})
	if errors.Is(err, errTimeout) {
		return nil
	}
	return err
}
