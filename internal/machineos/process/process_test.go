package process_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/machineos/process"
	"github.com/packetyard/packetyard/internal/machineos/testmachine"
)

func TestMain(m *testing.M) { testmachine.Main(m) }

func newReaper(t *testing.T) *process.Reaper {
	t.Helper()
	reaper := process.NewReaper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		reaper.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return reaper
}

func shell(script string) *exec.Cmd { return exec.Command("/bin/sh", "-c", script) }

// eventually is for what another process does in its own time.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// zombies counts processes that have ended and that nobody has waited for.
func zombies(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, entry := range entries {
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue
		}
		if _, state, found := strings.Cut(string(stat), ") "); found && strings.HasPrefix(state, "Z") {
			count++
		}
	}
	return count
}

func TestOrphansAreCollectedAndExitCodesKept(t *testing.T) {
	reaper := newReaper(t)
	var running sync.WaitGroup
	codes := make([]int, 60)
	for i := range codes {
		child, err := reaper.Start(shell(fmt.Sprintf("(sleep 0.0%d &) ; exit %d", i%10, i)))
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			<-child.Done()
			codes[i] = child.ExitCode()
		})
	}
	running.Wait()
	for i, code := range codes {
		if code != i {
			t.Errorf("exit code of command %d is %d", i, code)
		}
	}
	eventually(t, "all orphans are collected", func() bool { return reaper.Adopted() >= len(codes) && zombies(t) == 0 })
}

func TestStartRefusesStreamsThatNeedCopying(t *testing.T) {
	cmd := shell("true")
	cmd.Stdout = &bytes.Buffer{}
	if _, err := newReaper(t).Start(cmd); err == nil || !strings.Contains(err.Error(), "must be files") {
		t.Errorf("error is %v, want one about files", err)
	}
}

func TestStop(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		grace  time.Duration
		code   int
	}{
		"obeys":     {"trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done", time.Minute, 5},
		"does not":  {"trap '' TERM; echo ready; while :; do sleep 0.01; done", 100 * time.Millisecond, 128 + 9},
		"no grace":  {"trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done", 0, 128 + 9},
		"by signal": {"echo ready; while :; do sleep 0.01; done", time.Minute, 128 + 15},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := shell(test.script)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdout = write
			child, err := newReaper(t).StartGroup(cmd)
			if err != nil {
				t.Fatal(err)
			}
			_ = write.Close()
			if _, err := read.Read(make([]byte, 16)); err != nil {
				t.Fatal(err)
			}
			child.Stop(syscall.SIGTERM, test.grace)
			if child.ExitCode() != test.code {
				t.Errorf("exit code is %d, want %d", child.ExitCode(), test.code)
			}
		})
	}
}

func TestGroupEndsWithItsLeader(t *testing.T) {
	cmd := shell("sleep 1000 & echo $!")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = write
	child, err := newReaper(t).StartGroup(cmd)
	if err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	<-child.Done()
	// The pipe ends when the last process that has it does.
	output, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process left behind ends", func() bool {
		_, err := os.Stat("/proc/" + strings.TrimSpace(string(output)))
		return errors.Is(err, os.ErrNotExist)
	})
}

func TestRunStreams(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 20_000)
	for name, test := range map[string]struct {
		script, stdin  string
		tty            bool
		stdout, stderr string
		code           int
	}{
		"streams and code":    {script: "cat; echo err >&2; exit 3", stdin: large, stdout: large, stderr: "err\n", code: 3},
		"input left unread":   {script: "exit 0", stdin: large},
		"terminal":            {script: "test -t 0 && test -t 1 && stty size", tty: true, stdout: "40 120\r\n"},
		"output after a fork": {script: "(sleep 0.05; echo late) & wait", stdout: "late\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			streams := process.Streams{Stdin: strings.NewReader(test.stdin), Stdout: &stdout, Stderr: &stderr, TTY: test.tty, Size: process.WindowSize{Rows: 40, Cols: 120}}
			if test.tty {
				streams.Stdin = nil
			}
			code, err := process.RunStreams(t.Context(), newReaper(t).StartGroup, shell(test.script), streams)
			if err != nil {
				t.Fatal(err)
			}
			if code != test.code || stdout.String() != test.stdout || stderr.String() != test.stderr {
				t.Errorf("code %d, stdout %d bytes %.50q, stderr %q", code, stdout.Len(), stdout.String(), stderr.String())
			}
		})
	}
}

func TestRunStreamsEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	go func() {
		_, _ = reader.Read(make([]byte, 16))
		cancel()
	}()
	code, err := process.RunStreams(ctx, newReaper(t).StartGroup, shell("echo ready; exec sleep 1000"), process.Streams{Stdout: writer})
	if !errors.Is(err, context.Canceled) || code != 128+9 {
		t.Errorf("code %d, error %v; want 137 and the context's", code, err)
	}
}

func TestRunCommand(t *testing.T) {
	reaper := newReaper(t)
	var output bytes.Buffer
	err := reaper.RunCommand(t.Context(), shell("echo out; echo err >&2; exit 4"), &output, time.Second)
	var exit *process.ExitError
	if !errors.As(err, &exit) || exit.Code != 4 || err.Error() != "exit status 4" {
		t.Errorf("error is %v, want exit status 4", err)
	}
	if output.String() != "out\nerr\n" {
		t.Errorf("output is %q", output.String())
	}
	if err := reaper.RunCommand(t.Context(), exec.Command("/no/such/program"), &output, time.Second); err == nil {
		t.Error("a program that does not exist was run")
	}
}
