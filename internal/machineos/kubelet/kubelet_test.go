package kubelet_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/machineos/kubelet"
	"github.com/packetyard/packetyard/internal/machineos/process"
	"github.com/packetyard/packetyard/internal/machineos/testmachine"
)

func TestMain(m *testing.M) { testmachine.Main(m) }

// machine is a root directory with a program in the kubelet's place.
type machine struct {
	*kubelet.Supervisor
	root string

	mu      sync.Mutex
	console strings.Builder
}

func (m *machine) printf(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fmt.Fprintf(&m.console, format+"\n", args...)
}

func (m *machine) said() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.console.String()
}

func write(t *testing.T, file, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func boot(t *testing.T, root, script string) *machine {
	t.Helper()
	write(t, filepath.Join(root, "usr/local/bin/kubelet"), "#!/bin/sh\n"+script+"\n", 0o755)
	m := &machine{root: root}
	reaper := process.NewReaper()
	m.Supervisor = kubelet.New(kubelet.Config{Root: root, Reaper: reaper, Now: time.Now, Printf: m.printf, PollInterval: 5 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	reaping, stopReaping := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { reaper.Run(reaping) })
	supervised := make(chan struct{})
	go func() {
		m.Run(ctx)
		close(supervised)
	}()
	t.Cleanup(func() {
		cancel()
		<-supervised
		stopReaping()
		running.Wait()
	})
	return m
}

func (m *machine) log(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(m.root, kubelet.LogFile))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(content)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

const runs = `echo "started $*"; exec sleep 1000`

func TestStartsByItselfOnceKubeadmHasConfiguredIt(t *testing.T) {
	m := boot(t, t.TempDir(), runs)
	write(t, filepath.Join(m.root, "var/lib/kubelet/config.yaml"), "", 0o644)
	if m.Status().Active != kubelet.Inactive {
		t.Error("it runs without a kubeconfig")
	}
	write(t, filepath.Join(m.root, "var/lib/kubelet/kubeadm-flags.env"), "# written by kubeadm\nKUBELET_KUBEADM_ARGS=\"--node-ip=198.18.1.1 --v=2\"\n", 0o644)
	write(t, filepath.Join(m.root, "etc/default/kubelet"), "KUBELET_EXTRA_ARGS='--provider-id=packet://1'\n", 0o644)
	write(t, filepath.Join(m.root, "etc/kubernetes/bootstrap-kubelet.conf"), "", 0o644)
	eventually(t, "it starts", func() bool { return m.Status().Active == kubelet.Running && m.log(t) != "" })
	want := "started --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf" +
		" --config=/var/lib/kubelet/config.yaml --node-ip=198.18.1.1 --v=2 --provider-id=packet://1\n"
	if m.log(t) != want {
		t.Errorf("command line is %q, want %q", m.log(t), want)
	}
}

func TestStartStopRestart(t *testing.T) {
	m := boot(t, t.TempDir(), runs)
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := m.Status()
	if first.Active != kubelet.Running || first.PID == 0 || !first.Enabled {
		t.Errorf("after start: %+v", first)
	}
	if err := m.Start(t.Context()); err != nil || m.Status().PID != first.PID {
		t.Errorf("a second start changed something: %v", err)
	}
	if err := m.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := m.Status(); again.Active != kubelet.Running || again.PID == first.PID {
		t.Errorf("after restart: %+v", again)
	}
	if err := m.Stop(t.Context()); err != nil || m.Status().Active != kubelet.Inactive {
		t.Errorf("after stop: %+v, %v", m.Status(), err)
	}
	// A kubelet that was stopped by hand does not start by itself.
	write(t, filepath.Join(m.root, "var/lib/kubelet/config.yaml"), "", 0o644)
	write(t, filepath.Join(m.root, "etc/kubernetes/kubelet.conf"), "", 0o644)
	<-time.After(50 * time.Millisecond)
	if m.Status().Active != kubelet.Inactive {
		t.Error("it was started after a stop")
	}
}

func TestStartsAgainAndShowsItsLogWhenItKeepsFailing(t *testing.T) {
	m := boot(t, t.TempDir(), "echo failed because of this; exit 3")
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it was started three times", func() bool { return strings.Contains(m.said(), "kubelet log: failed because of this") })
	if status := m.Status(); status.Restarts < 2 || !strings.Contains(status.LastExit, "exit status 3") {
		t.Errorf("status is %+v", status)
	}
	if err := m.Stop(t.Context()); err != nil || m.Status().Active != kubelet.Inactive {
		t.Errorf("it cannot be stopped while it waits: %+v, %v", m.Status(), err)
	}
}

func TestEnabledOutlivesAReboot(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "var/lib/kubelet/config.yaml"), "", 0o644)
	write(t, filepath.Join(root, "etc/kubernetes/kubelet.conf"), "", 0o644)
	t.Run("first boot", func(t *testing.T) {
		m := boot(t, root, runs)
		eventually(t, "it starts", func() bool { return m.Status().Active == kubelet.Running })
		if err := m.SetEnabled(false); err != nil || m.Status().Enabled || m.Status().Active != kubelet.Running {
			t.Errorf("after disable: %+v, %v", m.Status(), err)
		}
	})
	t.Run("disabled", func(t *testing.T) {
		m := boot(t, root, runs)
		<-time.After(50 * time.Millisecond)
		if m.Status().Enabled || m.Status().Active != kubelet.Inactive {
			t.Errorf("after a reboot: %+v", m.Status())
		}
		if err := m.SetEnabled(true); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it starts", func() bool { return m.Status().Active == kubelet.Running })
	})
}

func TestLongLogIsCut(t *testing.T) {
	root := t.TempDir()
	log := filepath.Join(root, kubelet.LogFile)
	write(t, log, strings.Repeat(strings.Repeat("x", 1023)+"\n", 33<<10), 0o640)
	m := boot(t, root, runs)
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it writes", func() bool {
		lines, err := kubelet.Tail(log, 1)
		return err == nil && strings.HasPrefix(lines[0], "started")
	})
	info, err := os.Stat(log)
	if err != nil || info.Size() > 5<<20 || info.Size() < 1<<20 {
		t.Errorf("log has %d bytes, %v", info.Size(), err)
	}
}
