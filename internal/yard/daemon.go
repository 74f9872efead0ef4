package yard

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/packetyard/packetyard/internal/yard/statedir"
	"github.com/packetyard/packetyard/internal/yard/supervisor"
)

// interval is the time between two looks at something that cannot be watched.
const interval = 200 * time.Millisecond

// poll calls look until it says that it is done, fails, or the context ends;
// the error then is the context's cause.
func poll(ctx context.Context, interval time.Duration, look func(context.Context) (done bool, err error)) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		done, err := look(ctx)
		// What fails because the context has ended says so less clearly.
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// startSupervisor makes sure that a supervisor runs, and returns its report.
func startSupervisor(ctx context.Context, dir statedir.Dir, programs Programs, arguments ...string) (supervisor.Report, error) {
	report, alive, err := supervisor.ReadReport(dir)
	if err == nil && alive {
		return report, nil
	}
	log, err := os.OpenFile(dir.SupervisorLog(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return report, fmt.Errorf("opening the supervisor's log: %w", err)
	}
	defer log.Close()
	arguments = append([]string{SuperviseCommand, "--state-dir", dir.Path(), "--machine-image", programs.Image}, arguments...)
	// It is to live on when this command ends, so it has no context.
	command := exec.Command(programs.Packetyard, arguments...) //nolint:noctx // See above.
	command.Stdout, command.Stderr = log, log
	command.Dir = "/"
	// A session of its own, without a terminal: neither Ctrl-C nor the end of
	// the user's shell reaches it.
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return report, fmt.Errorf("starting the supervisor: %w", err)
	}
	ended := make(chan string, 1)
	go func() {
		// How it ended says all that the error does.
		_ = command.Wait()
		ended <- command.ProcessState.String()
	}()

	err = poll(ctx, 20*time.Millisecond, func(context.Context) (bool, error) {
		// A report that cannot be read is the last supervisor's, and is
		// written anew.
		if report, alive, err = supervisor.ReadReport(dir); err == nil && alive {
			return true, nil
		}
		select {
		case how := <-ended:
			// Another one, started by an `up` that was interrupted, may have been
			// first, and only not have reported yet.
			if holder, err := statedir.Holder(dir.SupervisorLock()); err == nil && holder != 0 {
				ended <- how
				return false, nil
			}
			return false, fmt.Errorf("the supervisor ended at once (%s):\n%s", how, tail(dir.SupervisorLog(), 10))
		default:
			return false, nil
		}
	})
	return report, err
}

// tail returns the last lines of a file, for messages.
func tail(path string, lines int) string {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	defer file.Close()
	const most = 16 << 10
	if info, err := file.Stat(); err == nil && info.Size() > most {
		if _, err := file.Seek(-most, io.SeekEnd); err != nil {
			return fmt.Sprintf("(%v)", err)
		}
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	return lastLines(string(content), lines)
}

// lastLines returns the last lines of a text.
func lastLines(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(len(all)-lines, 0):], "\n")
}
