package service_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/machineos/control"
	"github.com/packetyard/packetyard/internal/machineos/kubelet"
	"github.com/packetyard/packetyard/internal/machineos/process"
	"github.com/packetyard/packetyard/internal/machineos/service"
	"github.com/packetyard/packetyard/internal/machineos/units"
)

// TestSystemctlOnUnitsThatPeopleWrote controls a unit of user data by systemctl.
func TestSystemctlOnUnitsThatPeopleWrote(t *testing.T) {
	root := t.TempDir()
	folder := filepath.Join(root, "etc/systemd/system")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"agent.service":  "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n",
		"broken.service": "[Service]\nType=oneshot\nExecStart=/bin/false\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	reaping, stopReaping := context.WithCancel(context.Background())
	reaper := process.NewReaper()
	manager := units.New(ctx, units.Config{
		Store: units.Store{Root: root}, Environment: []string{"PATH=/usr/bin:/bin"}, Hostname: func() string { return "node-1" },
		Run: func(ctx context.Context, cmd *exec.Cmd, output io.Writer) error {
			return reaper.RunCommand(ctx, cmd, output, time.Second)
		},
		Output: io.Discard, Printf: t.Logf, Now: time.Now,
	})
	server := &control.Server{
		Reaper: reaper, Units: manager, Status: func() control.Status { return control.Status{} },
		Kubelet: kubelet.New(kubelet.Config{Root: root, Reaper: reaper, Now: time.Now, Printf: t.Logf, PollInterval: time.Second}),
	}
	socket := filepath.Join(root, "init.sock")
	listener, err := control.Listen(ctx, socket)
	if err != nil {
		t.Fatal(err)
	}
	var serving, reaped sync.WaitGroup
	reaped.Go(func() { reaper.Run(reaping) })
	serving.Go(func() {
		if err := server.Serve(ctx, listener); err != nil {
			t.Error(err)
		}
	})
	defer func() {
		cancel()
		manager.Wait()
		serving.Wait()
		stopReaping()
		reaped.Wait()
	}()
	// The steps build on each other.
	for _, step := range []struct {
		arguments string
		code      int
		said      string
	}{
		{"is-active agent", 3, "inactive\n"},
		{"enable --now agent", 0, ""},
		{"is-active agent.service", 0, "active\n"},
		{"is-enabled agent", 0, "enabled\n"},
		{"restart agent", 0, ""},
		{"status agent", 0, "Active: active (running)"},
		{"disable --now agent", 0, ""},
		{"is-active agent", 3, "inactive\n"},
		{"is-enabled agent", 1, "disabled\n"},
		{"start broken", 1, "ExecStart: /bin/false: exit status 1"},
		{"is-failed broken", 0, "failed\n"},
		{"mask agent", 1, "exists already"},
		{"mask other", 0, ""},
		{"start other", 5, "Unit other.service not found"},
		{"unmask missing", 0, ""},
		{"start missing", 5, "Unit missing.service not found"},
		{"start ../agent", 5, "not found"},
	} {
		var output bytes.Buffer
		ctl := service.Systemctl{Socket: socket, Stdout: &output, Stderr: &output, Now: time.Now}
		code := ctl.Run(t.Context(), strings.Fields(step.arguments))
		if code != step.code || !strings.Contains(output.String(), step.said) {
			t.Errorf("systemctl %s ends with %d, want %d, and says %q, want %q", step.arguments, code, step.code, output.String(), step.said)
		}
	}
}
