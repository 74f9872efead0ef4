// Package processtest runs programs for tests that need them as the processes they are: with a log, signals and an end.
package processtest

import (
	"bytes"
	"context"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// grace is how long a process may take to end in order.
	grace = 20 * time.Second
	// shown is how many bytes of its log a failed test shows.
	shown = 8000
)

// Process is a program that was started.
type Process struct {
	Command *exec.Cmd
	// Log is all that it wrote, to either output.
	Log *Log
	// Done is closed when it has ended; the exit code is in Command.ProcessState then.
	Done chan struct{}
}

// Log keeps what a process writes, for whoever reads at the same time.
type Log struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(p)
}

// String is what was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}

// Start runs a program until the test ends. Of the environment it has only what is given. The end of its log is shown, under
// a name, where the test failed.
func Start(t testing.TB, name, program string, environment []string, arguments ...string) *Process {
	t.Helper()
	p := &Process{Command: exec.CommandContext(context.WithoutCancel(t.Context()), program, arguments...), Log: &Log{}, Done: make(chan struct{})}
	// An empty one that is not nil keeps the test's own environment away.
	p.Command.Env = append([]string{}, environment...)
	p.Command.Stdout, p.Command.Stderr = p.Log, p.Log
	// It must not outlive the tests, whatever ends them.
	p.Command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.Done)
		_ = p.Command.Wait()
	}()
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			log := p.Log.String()
			t.Logf("the last of the log of %s:\n%s", name, log[max(0, len(log)-shown):])
		}
	})
	return p
}

// Stop ends the process in order, so that what it holds, such as a lease, is free.
func (p *Process) Stop() {
	_ = p.Command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.Done:
	case <-time.After(grace):
		p.Kill()
	}
}

// Kill ends the process at once.
func (p *Process) Kill() {
	_ = p.Command.Process.Kill()
	<-p.Done
}
