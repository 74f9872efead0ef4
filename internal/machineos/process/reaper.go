// Package process starts, reaps and signals the processes of a machine.
//
// The first process of a PID namespace inherits every orphan and has to wait
// for it, or it stays a zombie. It also has children of its own whose exit
// codes it needs. Waiting in two places would let one steal the other's exit
// code, so there is a single owner of waiting here, the Reaper: it collects
// every child there is and hands the status on when the child was started
// through it.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Reaper waits for all children of this process. Nothing else in the process
// may wait: commands are started with Reaper.Start and never with
// exec.Cmd.Start or Run.
type Reaper struct {
	// mu is held while a child is started, so that a child that ends at once
	// is known before it is collected, and while children are collected and
	// signalled, so that a signal never reaches a recycled process id.
	mu       sync.Mutex
	children map[int]*Child
	adopted  int
}

// NewReaper returns a Reaper that collects nothing until Run.
func NewReaper() *Reaper {
	return &Reaper{children: make(map[int]*Child)}
}

// Child is a process started by a Reaper.
type Child struct {
	reaper *Reaper
	pid    int
	done   chan struct{}
	status syscall.WaitStatus
	// alive is guarded by the reaper's lock.
	alive bool
	// endsGroup makes what is left of the process group end with its leader.
	endsGroup bool
}

// Run collects children until the context ends.
func (r *Reaper) Run(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	defer signal.Stop(signals)
	// A signal that came before Notify is made up for by a first round.
	r.collect()
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			r.collect()
		}
	}
}

// collect waits for every child that has ended.
func (r *Reaper) collect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		child, ours := r.children[pid]
		if !ours {
			r.adopted++
			continue
		}
		delete(r.children, pid)
		if child.endsGroup {
			// A group's id is not given away while the group has members, and
			// where it has none this finds nobody.
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
		child.alive = false
		child.status = status
		close(child.done)
	}
}

// Adopted tells how many orphans, which nobody here started, were collected.
func (r *Reaper) Adopted() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.adopted
}

// Start starts a command. Its Stdin, Stdout and Stderr must be *os.File or
// nil, because nobody calls Wait, which is what ends os/exec's own copying.
func (r *Reaper) Start(cmd *exec.Cmd) (*Child, error) {
	return r.start(cmd, false)
}

// StartGroup is Start for a command that leads a process group or session:
// when it ends, the others of its group are killed.
func (r *Reaper) StartGroup(cmd *exec.Cmd) (*Child, error) {
	return r.start(cmd, true)
}

func (r *Reaper) start(cmd *exec.Cmd, endsGroup bool) (*Child, error) {
	for _, stream := range []any{cmd.Stdin, cmd.Stdout, cmd.Stderr} {
		if _, isFile := stream.(*os.File); stream != nil && !isFile {
			return nil, fmt.Errorf("starting %s: its standard streams must be files, not %T", cmd.Path, stream)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	child := &Child{reaper: r, pid: cmd.Process.Pid, done: make(chan struct{}), alive: true, endsGroup: endsGroup}
	r.children[child.pid] = child
	// The handle would only keep a file descriptor open: signals go out under
	// the lock, which makes the bare process id safe.
	_ = cmd.Process.Release()
	return child, nil
}

// RunCommand starts a command in a session of its own, copies what it says to
// output, and waits for its end. What it left running stays. When the context
// ends first, the session is asked to end and killed after grace.
func (r *Reaper) RunCommand(ctx context.Context, cmd *exec.Cmd, output io.Writer, grace time.Duration) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	cmd.Stdout, cmd.Stderr = write, write
	child, err := r.Start(cmd)
	_ = write.Close()
	if err != nil {
		_ = read.Close()
		return err
	}
	var copying sync.WaitGroup
	copyOutput(&copying, output, read)
	go func() {
		copying.Wait()
		_ = read.Close()
	}()
	defer waitAtMost(&copying, drainTime)
	select {
	case <-child.Done():
	case <-ctx.Done():
		child.Stop(syscall.SIGTERM, grace)
		return fmt.Errorf("%s was stopped: %w", cmd.Path, context.Cause(ctx))
	}
	if code := child.ExitCode(); code != 0 {
		return &ExitError{Code: code, Signal: child.ExitSignal()}
	}
	return nil
}

// ExitError says that a command ended with another exit code than 0.
type ExitError struct {
	// Code is the exit code, or 128 plus the signal's number.
	Code int
	// Signal is the signal that ended the command, 0 where it ended by itself.
	Signal syscall.Signal
}

func (e *ExitError) Error() string {
	if e.Signal != 0 {
		return fmt.Sprintf("killed by signal %d (%s)", int(e.Signal), unix.SignalName(e.Signal))
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// PID is the process id, which may be someone else's once Done is closed.
func (c *Child) PID() int { return c.pid }

// Done is closed when the process has ended and its exit code is known.
func (c *Child) Done() <-chan struct{} { return c.done }

// ExitCode is the exit code, or 128 plus the number of the signal that ended
// the process, as shells have it. It is valid once Done is closed.
func (c *Child) ExitCode() int {
	if c.status.Signaled() {
		return 128 + int(c.status.Signal())
	}
	return c.status.ExitStatus()
}

// ExitSignal is the signal that ended the process, 0 where none did. It is
// valid once Done is closed.
func (c *Child) ExitSignal() syscall.Signal {
	if c.status.Signaled() {
		return c.status.Signal()
	}
	return 0
}

// Signal sends a signal to the process. It does nothing once it has ended.
func (c *Child) Signal(sig syscall.Signal) {
	c.reaper.mu.Lock()
	defer c.reaper.mu.Unlock()
	if c.alive {
		_ = syscall.Kill(c.pid, sig)
	}
}

// SignalGroup sends a signal to the process and all others of its group or
// session that it leads. It does nothing once the process has ended.
func (c *Child) SignalGroup(sig syscall.Signal) {
	c.reaper.mu.Lock()
	defer c.reaper.mu.Unlock()
	if !c.alive {
		return
	}
	if err := syscall.Kill(-c.pid, sig); err != nil {
		_ = syscall.Kill(c.pid, sig)
	}
}

// WithAlive calls f while the process is sure not to be collected, so that
// its entry in /proc is its own. It tells whether the process was alive.
func (c *Child) WithAlive(f func(pid int)) bool {
	c.reaper.mu.Lock()
	defer c.reaper.mu.Unlock()
	if !c.alive {
		return false
	}
	f(c.pid)
	return true
}

// Stop sends sig to the process group, SIGKILL after grace, and returns when
// the process has ended.
func (c *Child) Stop(sig syscall.Signal, grace time.Duration) {
	if grace > 0 {
		c.SignalGroup(sig)
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-c.done:
			return
		case <-timer.C:
		}
	}
	c.SignalGroup(syscall.SIGKILL)
	<-c.done
}
