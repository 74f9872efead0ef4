//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestInterruptions kills the API server and interrupts `up` in the middle,
// each at two places, and expects a cluster all the same, with each device once.
func TestInterruptions(t *testing.T) {
	y := newYard(t)

	first := y.start(t, "up", "--workers", "1")
	first.waitFor(t, "✓ Start the Packet API")
	y.killAPIServer(t)
	first.waitFor(t, "✓ Boot the bootstrap machine")
	if err := first.command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := first.wait(t); code != 130 || !strings.Contains(first.text(), " up` goes on") {
		t.Errorf("after Ctrl-C, up ended with %d, want 130 and how to go on:\n%s", code, first.text())
	}

	second := y.start(t, "up", "--workers", "1")
	second.waitFor(t, "✓ Create cluster demo")
	code, output := y.run(t.Context(), "up")
	if code == 0 || !strings.Contains(output, "another `packetyard up`") {
		t.Errorf("a second up at the same time ended with %d:\n%s", code, output)
	}
	before := y.firstProcesses(t)
	y.killAPIServer(t)
	for id, pid := range before {
		if after := y.firstProcesses(t)[id]; after != pid {
			t.Errorf("machine %s was process %d and is %d: it did not outlive the API server", id, pid, after)
		}
	}
	if code := second.wait(t); code != 0 {
		t.Fatalf("up ended with %d:\n%s", code, second.text())
	}
	if err := y.checkNodes(t.Context(), y.kubeconfig(t, ""), 2); err != nil {
		t.Error(err)
	}
	if devices := y.devices(t); len(devices) != 3 {
		t.Errorf("%d devices, want 3: %v", len(devices), devices)
	}

	// With its supervisor gone as well, status still tells what there is, up
	// starts it again, and down ends the machines.
	if err := syscall.Kill(y.report(t).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "status tells that the supervisor is down", func(ctx context.Context) error {
		code, output := y.run(ctx, "status")
		if code != 0 || !strings.Contains(output, "DOWN") || !strings.Contains(output, "demo-master-0") {
			return fmt.Errorf("status ended with %d:\n%s", code, output)
		}
		return nil
	})
	y.must(t, "up", "--workers", "1")
	if devices := y.devices(t); len(devices) != 3 {
		t.Errorf("%d devices, want 3: %v", len(devices), devices)
	}
	report := y.report(t)
	for _, pid := range []int{report.PID, report.APIServer.PID} {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	checkDown(t, y)
}

// killAPIServer kills the API server and waits until another one serves.
func (y *yard) killAPIServer(t *testing.T) {
	t.Helper()
	before := y.report(t)
	if err := syscall.Kill(before.APIServer.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	client, project := y.api(t)
	eventually(t, "the API server runs again", func(ctx context.Context) error {
		after := y.report(t)
		if after.APIServer.Restarts == before.APIServer.Restarts {
			return fmt.Errorf("it was not started again")
		}
		_, err := client.Project(ctx, project)
		return err
	})
}
