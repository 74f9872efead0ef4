// Package supervisor is the daemon of a yard: it keeps the Packet API server
// running and lets the host's programs reach the machines' network.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Child keeps one program running: it starts it again whenever it ends.
type Child struct {
	// Name is the child's name in the log and in the report.
	Name string
	// Path is the program, and Args gives its arguments, without its name, for
	// the start after so many in a row that failed.
	Path string
	Args func(failed int) []string
	// Env is the program's environment; nil means the supervisor's own.
	Env []string
	// Output takes what the program prints.
	Output io.Writer
	Log    *slog.Logger
	// Pause is how long to wait before the n-th start in a row of a program
	// that ended soon after its start. It is asked with n = 1, 2, ...
	Pause func(n int) time.Duration
	// Steady is how long a program has to run for its end to be the first in
	// a row again.
	Steady time.Duration
	// Grace is how long the program may take to end when it is asked to.
	Grace time.Duration
	// Changed is called after the program has started and after it has ended.
	Changed func(ChildStatus)

	mu     sync.Mutex
	status ChildStatus
}

// ChildStatus is what a Child knows of its program.
type ChildStatus struct {
	// PID is 0 while the program does not run.
	PID int `json:"pid,omitempty"`
	// Restarts counts the starts after the first one.
	Restarts int `json:"restarts"`
	// LastExit tells how the program ended the last time.
	LastExit string `json:"lastExit,omitempty"`
	// FailedInARow counts the ends that came soon after a start; many of
	// them mean that the program cannot run at all.
	FailedInARow int `json:"failedInARow,omitempty"`
}

// DefaultPause starts a program again at once when it ended once, and then
// waits ever longer, up to five seconds.
func DefaultPause(n int) time.Duration {
	if n <= 1 {
		return 0
	}
	return min(100*time.Millisecond<<min(n-2, 6), 5*time.Second)
}

// Status returns what is known now.
func (c *Child) Status() ChildStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

func (c *Child) update(change func(*ChildStatus)) {
	c.mu.Lock()
	change(&c.status)
	status := c.status
	c.mu.Unlock()
	if c.Changed != nil {
		c.Changed(status)
	}
}

// Run keeps the program running until the context ends, and returns when the
// program has ended.
func (c *Child) Run(ctx context.Context) {
	// The kernel ends the program with the thread that started it, so that a
	// supervisor that is killed leaves no program behind that nobody would
	// restart. The thread therefore has to live as long as the supervisor.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	failed := 0
	for starts := 0; ctx.Err() == nil; starts++ {
		began := time.Now()
		err := c.once(ctx, c.Args(failed), starts > 0)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) >= c.Steady {
			failed = 0
		}
		failed++
		c.Log.Warn("a program of the yard ended and is started again", "program", c.Name, "how", describeExit(err), "inARow", failed)
		c.update(func(s *ChildStatus) { s.PID, s.LastExit, s.FailedInARow = 0, describeExit(err), failed })
		select {
		case <-ctx.Done():
		case <-time.After(c.Pause(failed)):
		}
	}
}

func (c *Child) once(ctx context.Context, arguments []string, again bool) error {
	command := exec.CommandContext(ctx, c.Path, arguments...)
	command.Env = c.Env
	command.Stdout, command.Stderr = c.Output, c.Output
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = c.Grace
	// A process group of its own keeps the terminal's Ctrl-C away from it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return err
	}
	c.Log.Info("started a program of the yard", "program", c.Name, "pid", command.Process.Pid)
	c.update(func(s *ChildStatus) {
		s.PID = command.Process.Pid
		if again {
			s.Restarts++
		}
	})
	err := command.Wait()
	if ctx.Err() != nil {
		c.update(func(s *ChildStatus) { s.PID = 0 })
	}
	return err
}

// describeExit says in words how a program ended.
func describeExit(err error) string {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "it ended by itself"
	case errors.As(err, &exit):
		return exit.String()
	case errors.Is(err, os.ErrNotExist):
		return fmt.Sprintf("it could not be started: %v", err)
	default:
		return err.Error()
	}
}
