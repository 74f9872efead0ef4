package service_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/machineexec"
	"github.com/packetyard/packetyard/internal/machineos/control"
	"github.com/packetyard/packetyard/internal/machineos/kubelet"
	"github.com/packetyard/packetyard/internal/machineos/process"
	"github.com/packetyard/packetyard/internal/machineos/service"
	"github.com/packetyard/packetyard/internal/machineos/testmachine"
)

func TestMain(m *testing.M) { testmachine.Main(m) }

// boot serves the socket of a machine whose kubelet is a script, and returns
// its path. What was asked of the power goes to the channel.
func boot(t *testing.T) (string, <-chan string) {
	t.Helper()
	root := t.TempDir()
	program := filepath.Join(root, "usr/local/bin/kubelet")
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	reaper := process.NewReaper()
	supervisor := kubelet.New(kubelet.Config{Root: root, Reaper: reaper, Now: time.Now, Printf: t.Logf, PollInterval: time.Second})
	power := make(chan string, 1)
	server := &control.Server{
		Reaper: reaper, Kubelet: supervisor, Env: os.Environ(), Directory: root,
		Status:   func() control.Status { return control.Status{Kubelet: supervisor.Status(), UserData: "none"} },
		PowerOff: func() { power <- "off" }, Reboot: func() { power <- "reboot" },
	}
	socket := filepath.Join(root, "init.sock")
	ctx, cancel := context.WithCancel(context.Background())
	listener, err := control.Listen(ctx, socket)
	if err != nil {
		t.Fatal(err)
	}
	reaping, stopReaping := context.WithCancel(context.Background())
	var running, reaped sync.WaitGroup
	reaped.Go(func() { reaper.Run(reaping) })
	running.Go(func() { supervisor.Run(ctx) })
	running.Go(func() {
		if err := server.Serve(ctx, listener); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		stopReaping()
		reaped.Wait()
	})
	return socket, power
}

func TestSystemctl(t *testing.T) {
	socket, _ := boot(t)
	// The steps build on each other.
	for _, step := range []struct {
		arguments      string
		code           int
		stdout, stderr string
	}{
		{"daemon-reload", 0, "", ""},
		{"is-active kubelet", 3, "inactive\n", ""},
		{"is-enabled kubelet.service", 0, "enabled\n", ""},
		{"status kubelet", 3, "Active: inactive (dead)", ""},
		{"start kubelet", 0, "", ""},
		{"is-active kubelet", 0, "active\n", ""},
		{"is-active --quiet kubelet", 0, "", ""},
		{"status kubelet", 0, "Active: active (running) since ", ""},
		{"restart kubelet.service", 0, "", ""},
		{"stop kubelet", 0, "", ""},
		{"try-restart kubelet", 0, "", ""},
		{"is-active kubelet", 3, "inactive\n", ""},
		{"enable --now kubelet", 0, "", ""},
		{"is-active kubelet", 0, "active\n", ""},
		{"disable --now kubelet", 0, "", ""},
		{"is-enabled kubelet", 1, "disabled\n", ""},
		{"is-active kubelet", 3, "inactive\n", ""},
		{"is-active containerd", 0, "active\n", ""},
		{"restart containerd", 0, "", ""},
		{"enable --now containerd", 0, "", ""},
		{"stop containerd", 1, "", "is part of the machine's init"},
		{"status", 3, "containerd.service", ""},

		{"start nothing", 5, "", "Failed to start nothing.service: Unit nothing.service not found.\n"},
		{"restart nothing", 5, "", "Unit nothing.service not found.\n"},
		{"stop nothing", 5, "", "Unit nothing.service not loaded.\n"},
		{"enable nothing", 1, "", "Unit file nothing.service does not exist.\n"},
		{"is-active nothing", 4, "inactive\n", ""},
		{"is-active nothing kubelet", 3, "inactive\ninactive\n", ""},
		{"is-active nothing containerd", 0, "inactive\nactive\n", ""},
		{"is-enabled nothing", 4, "not-found\n", ""},
		// kubeadm looks for this text on standard output.
		{"status firewalld", 4, "Unit firewalld.service could not be found.\n", ""},
		{"start", 1, "", "Too few arguments"},
		{"sing kubelet", 1, "", "Unknown command verb sing."},
	} {
		var stdout, stderr bytes.Buffer
		ctl := service.Systemctl{Socket: socket, Stdout: &stdout, Stderr: &stderr, Now: time.Now}
		code := ctl.Run(t.Context(), strings.Fields(step.arguments))
		if code != step.code || !strings.Contains(stdout.String(), step.stdout) || !strings.Contains(stderr.String(), step.stderr) ||
			step.stdout == "" && stdout.Len() > 0 || step.stderr == "" && stderr.Len() > 0 {
			t.Errorf("systemctl %s: exit code %d, want %d; output %q, want %q; errors %q, want %q",
				step.arguments, code, step.code, stdout.String(), step.stdout, stderr.String(), step.stderr)
		}
	}
}

func TestPower(t *testing.T) {
	socket, power := boot(t)
	for verb, want := range map[string]string{"reboot": "reboot", "poweroff": "off"} {
		ctl := service.Systemctl{Socket: socket, Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}, Now: time.Now}
		if code := ctl.Run(t.Context(), []string{verb}); code != 0 {
			t.Errorf("%s: exit code %d", verb, code)
		}
		if got := <-power; got != want {
			t.Errorf("%s: power is asked to %s", verb, got)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	var stdout, stderr bytes.Buffer
	ctl := service.Systemctl{Socket: filepath.Join(t.TempDir(), "none"), Stdout: &stdout, Stderr: &stderr, Now: time.Now}
	if code := ctl.Run(t.Context(), []string{"start", "kubelet"}); code != 1 || !strings.Contains(stderr.String(), "failed to connect") {
		t.Errorf("exit code %d, %q", code, stderr.String())
	}
}

func TestExec(t *testing.T) {
	socket, _ := boot(t)
	for name, test := range map[string]struct {
		request        machineexec.Request
		stdin          string
		stdout, stderr string
		code           int
	}{
		"streams":         {machineexec.Request{Command: []string{"sh", "-c", "cat; echo err >&2; exit 3"}}, "in", "in", "err\n", 3},
		"environment":     {machineexec.Request{Command: []string{"sh", "-c", "echo $PATH $COLOUR"}, Env: []string{"PATH=/bin", "COLOUR=blue"}}, "", "/bin blue\n", "", 0},
		"terminal":        {machineexec.Request{Command: []string{"sh", "-c", "stty size; echo $TERM"}, TTY: true, Rows: 30, Cols: 90, Env: []string{"TERM=vt100"}}, "", "30 90\r\nvt100\r\n", "", 0},
		"signal":          {machineexec.Request{Command: []string{"sh", "-c", "kill -9 $$"}}, "", "", "", 137},
		"not found":       {machineexec.Request{Command: []string{"no-such-program"}}, "", "", "no-such-program: command not found\n", 127},
		"path not found":  {machineexec.Request{Command: []string{"/no/such/program"}}, "", "", "/no/such/program: command not found\n", 127},
		"no program file": {machineexec.Request{Command: []string{"/etc/passwd"}}, "", "", "permission denied", 126},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code, err := machineexec.RunAt(t.Context(), socket, test.request, machineexec.Streams{Stdin: strings.NewReader(test.stdin), Stdout: &stdout, Stderr: &stderr})
			if err != nil {
				t.Fatal(err)
			}
			if code != test.code || stdout.String() != test.stdout || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
			}
		})
	}
}

func TestJournalctl(t *testing.T) {
	log := filepath.Join(t.TempDir(), "kubelet.log")
	if err := os.WriteFile(log, []byte("one\ntwo\nthree\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for arguments, want := range map[string]string{
		"-u kubelet":                         "one\ntwo\nthree\n",
		"-u kubelet.service -n 2":            "two\nthree\n",
		"--unit=kubelet --lines=1 -x":        "three\n",
		"-xeu kubelet --no-pager -n1":        "three\n",
		"-u containerd":                      "-- No entries --\n",
		"--no-pager -n 1 -u kubelet.service": "three\n",
	} {
		var stdout, stderr bytes.Buffer
		code := service.Journalctl{LogFile: log, Stdout: &stdout, Stderr: &stderr}.Run(strings.Fields(arguments))
		if code != 0 || stdout.String() != want {
			t.Errorf("journalctl %s: code %d, output %q, want %q", arguments, code, stdout.String(), want)
		}
	}
}
