package process

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// drainTime is how long output is waited for after the process has ended:
// something it left behind may hold the other end of a pipe for ever.
const drainTime = 2 * time.Second

// Streams connect a process with whoever asked for it. Any may be nil.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// TTY gives the process a terminal; Stderr is not used then.
	TTY    bool
	Size   WindowSize
	Resize <-chan WindowSize
}

// Starter is Reaper.StartGroup, or something around it.
type Starter func(*exec.Cmd) (*Child, error)

// RunStreams starts the command as the leader of a session of its own, copies
// its streams, and returns its exit code when it has ended. When the context
// ends, the session's processes are killed.
func RunStreams(ctx context.Context, start Starter, cmd *exec.Cmd, streams Streams) (int, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	if streams.TTY {
		return runTerminal(ctx, start, cmd, streams)
	}
	return runPipes(ctx, start, cmd, streams)
}

func runTerminal(ctx context.Context, start Starter, cmd *exec.Cmd, streams Streams) (int, error) {
	control, terminal, err := OpenPTY(streams.Size)
	if err != nil {
		return 0, err
	}
	defer func() { _ = control.Close() }()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr.Setctty = true
	child, err := start(cmd)
	_ = terminal.Close()
	if err != nil {
		return 0, err
	}
	if streams.Stdin != nil {
		go func() {
			// End of input on a terminal is the control character for it.
			if _, err := io.Copy(control, streams.Stdin); err == nil {
				_, _ = control.Write([]byte{4})
			}
		}()
	}
	go func() {
		for {
			select {
			case size, open := <-streams.Resize:
				if !open {
					return
				}
				_ = SetSize(control, size)
			case <-child.Done():
				return
			}
		}
	}()
	var copying sync.WaitGroup
	copyOutput(&copying, streams.Stdout, control)
	return finish(ctx, child, &copying)
}

func runPipes(ctx context.Context, start Starter, cmd *exec.Cmd, streams Streams) (int, error) {
	var childEnds, ourEnds []*os.File
	closeAll := func(files []*os.File) {
		for _, file := range files {
			_ = file.Close()
		}
	}
	defer func() { closeAll(ourEnds) }()
	pipe := func() (read, write *os.File, err error) {
		if read, write, err = os.Pipe(); err != nil {
			err = fmt.Errorf("making a pipe: %w", err)
		}
		return read, write, err
	}
	var stdin, stdout, stderr *os.File
	if streams.Stdin != nil {
		read, write, err := pipe()
		if err != nil {
			return 0, err
		}
		cmd.Stdin, stdin = read, write
		childEnds, ourEnds = append(childEnds, read), append(ourEnds, write)
	}
	for _, output := range []struct {
		wanted io.Writer
		child  *io.Writer
		ours   **os.File
	}{{streams.Stdout, &cmd.Stdout, &stdout}, {streams.Stderr, &cmd.Stderr, &stderr}} {
		if output.wanted == nil {
			continue
		}
		read, write, err := pipe()
		if err != nil {
			closeAll(childEnds)
			return 0, err
		}
		*output.child, *output.ours = write, read
		childEnds, ourEnds = append(childEnds, write), append(ourEnds, read)
	}
	child, err := start(cmd)
	closeAll(childEnds)
	if err != nil {
		return 0, err
	}
	if stdin != nil {
		go func() {
			_, _ = io.Copy(stdin, streams.Stdin)
			_ = stdin.Close()
		}()
	}
	var copying sync.WaitGroup
	if stdout != nil {
		copyOutput(&copying, streams.Stdout, stdout)
	}
	if stderr != nil {
		copyOutput(&copying, streams.Stderr, stderr)
	}
	return finish(ctx, child, &copying)
}

// copyOutput keeps reading when the taker is gone, so that the process never
// waits for a reader who left.
func copyOutput(copying *sync.WaitGroup, to io.Writer, from *os.File) {
	copying.Add(1)
	go func() {
		defer copying.Done()
		if _, err := io.Copy(to, from); err != nil {
			_, _ = io.Copy(io.Discard, from)
		}
	}()
}

// waitAtMost waits for the group, but not for ever.
func waitAtMost(group *sync.WaitGroup, limit time.Duration) {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

func finish(ctx context.Context, child *Child, copying *sync.WaitGroup) (int, error) {
	var ended error
	select {
	case <-child.Done():
	case <-ctx.Done():
		ended = context.Cause(ctx)
		child.SignalGroup(syscall.SIGKILL)
		<-child.Done()
	}
	waitAtMost(copying, drainTime)
	if ended != nil {
		return child.ExitCode(), fmt.Errorf("the process was killed: %w", ended)
	}
	return child.ExitCode(), nil
}
