package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// childVariable makes this test program run the command instead of the tests,
// so that tests have the program as a process of its own.
const childVariable = "PACKET_CCM_TEST_RUN_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		main()
		return
	}
	code := m.Run()
	if err := stopKubernetes(); err != nil {
		code = max(code, 1)
	}
	os.Exit(code)
}

// process is the program, running.
type process struct {
	command *exec.Cmd
	log     *logBuffer
	done    chan struct{}
}

// logBuffer keeps what a process writes.
type logBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}

// thisProgram is the program as a part of this test program.
func thisProgram(t testing.TB) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// buildProgram builds the program as users have it: what it takes of memory is
// not to be that of a test program.
func buildProgram(t testing.TB) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "packet-cloud-controller-manager")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	return program
}

// startProcess runs the program until the test ends. Of the environment it has
// only what is given.
func startProcess(t testing.TB, program string, environment []string, arguments ...string) *process {
	t.Helper()
	p := &process{command: exec.CommandContext(context.WithoutCancel(t.Context()), program, arguments...), log: &logBuffer{}, done: make(chan struct{})}
	p.command.Env = append([]string{childVariable + "=1"}, environment...)
	p.command.Stdout, p.command.Stderr = p.log, p.log
	// It must not outlive the tests, whatever ends them.
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.command.Wait()
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("the last of the program's log:\n%s", tail(p.log.String(), 8000))
		}
	})
	return p
}

// stop ends the program at once, as a machine that fails would.
func (p *process) stop() {
	_ = p.command.Process.Kill()
	<-p.done
}

// residentMegabytes is the memory that the program has at this moment.
func (p *process) residentMegabytes(t testing.TB) float64 {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.command.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			kilobytes, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return float64(kilobytes) / 1024
		}
	}
	t.Fatal("the system does not tell the memory of a process")
	return 0
}

func tail(text string, size int) string {
	return text[max(0, len(text)-size):]
}

// until asks again and again until it is so.
func until(t testing.TB, limit time.Duration, what string, done func() bool) {
	t.Helper()
	deadline := time.After(limit)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		case <-again.C:
		}
	}
}
