package supervisor

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startChild runs a child and returns its status changes and a function that
// ends it and waits for it.
// arguments are the same for every start.
func arguments(all ...string) func(int) []string {
	return func(int) []string { return all }
}

func startChild(t *testing.T, child *Child) (<-chan ChildStatus, func()) {
	t.Helper()
	changes := make(chan ChildStatus, 100)
	child.Log = slog.New(slog.DiscardHandler)
	child.Changed = func(s ChildStatus) { changes <- s }
	if child.Pause == nil {
		child.Pause = func(int) time.Duration { return 0 }
	}
	child.Grace = 5 * time.Second
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { child.Run(ctx) })
	stop := func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return changes, stop
}

func next(t *testing.T, changes <-chan ChildStatus) ChildStatus {
	t.Helper()
	select {
	case status := <-changes:
		return status
	case <-time.After(20 * time.Second):
		t.Fatal("the child's status did not change in 20 s")
		return ChildStatus{}
	}
}

func TestChildIsStartedAgainAfterKill(t *testing.T) {
	changes, stop := startChild(t, &Child{Name: "sleeper", Path: "/bin/sh", Args: arguments("-c", "exec sleep 1000")})
	first := next(t, changes)
	if first.PID == 0 || first.Restarts != 0 {
		t.Fatalf("after the start: %+v", first)
	}
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ended := next(t, changes)
	if ended.PID != 0 || !strings.Contains(ended.LastExit, "killed") {
		t.Errorf("after the kill: %+v, want no process and how it ended", ended)
	}
	second := next(t, changes)
	if second.PID == 0 || second.PID == first.PID || second.Restarts != 1 {
		t.Errorf("after the restart: %+v, want another process", second)
	}
	stop()
	if err := syscall.Kill(second.PID, 0); err == nil {
		t.Errorf("process %d is left after the end", second.PID)
	}
}

func TestChildIsAskedToEnd(t *testing.T) {
	farewell := filepath.Join(t.TempDir(), "farewell")
	var output lockedBuffer
	script := `trap 'echo bye > "$0"; exit 0' TERM; echo ready; while :; do sleep 0.05; done`
	changes, stop := startChild(t, &Child{Name: "polite", Path: "/bin/sh", Args: arguments("-c", script, farewell), Output: &output})
	next(t, changes)
	waitFor(t, func() bool { return strings.Contains(output.String(), "ready") })
	stop()
	if content, err := os.ReadFile(farewell); err != nil || string(content) != "bye\n" {
		t.Errorf("the program was not asked to end: %q, %v", content, err)
	}
}

func TestChildThatCannotStartIsCounted(t *testing.T) {
	pauses := make(chan int, 100)
	child := &Child{Name: "broken", Path: "/nonexistent/program", Args: arguments(), Steady: time.Hour, Pause: func(n int) time.Duration {
		pauses <- n
		return time.Millisecond
	}}
	changes, _ := startChild(t, child)
	for want := 1; want <= 3; want++ {
		status := next(t, changes)
		if status.FailedInARow != want || !strings.Contains(status.LastExit, "could not be started") {
			t.Errorf("failure %d: %+v", want, status)
		}
		if got := <-pauses; got != want {
			t.Errorf("pause asked for failure %d, want %d", got, want)
		}
	}
}

func TestDefaultPauseGrowsToALimit(t *testing.T) {
	last := time.Duration(-1)
	for n := 1; n < 100; n++ {
		pause := DefaultPause(n)
		if pause < last || pause > 5*time.Second {
			t.Fatalf("pause %d is %s after %s", n, pause, last)
		}
		last = pause
	}
	if DefaultPause(1) != 0 || last != 5*time.Second {
		t.Errorf("the first pause is %s and the last %s, want 0 and 5s", DefaultPause(1), last)
	}
}

// lockedBuffer is a buffer that the child's output and a test may use together.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// waitFor polls, because it waits for another process.
func waitFor(t *testing.T, met func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-deadline:
			t.Fatal("not met in 20 s")
		case <-tick.C:
		}
	}
}
