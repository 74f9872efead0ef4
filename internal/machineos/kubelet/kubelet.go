// Package kubelet keeps a machine's kubelet running, as the service unit and
// the drop-in file do that come with the kubeadm packages.
package kubelet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/packetyard/packetyard/internal/machineos/process"
)

const (
	configFile          = "/var/lib/kubelet/config.yaml"
	kubeconfig          = "/etc/kubernetes/kubelet.conf"
	bootstrapKubeconfig = "/etc/kubernetes/bootstrap-kubelet.conf"

	// LogFile is where the kubelet's own log is.
	LogFile = "/var/log/kubelet.log"

	// program is found through the link that the machine makes at boot.
	program = "/usr/local/bin/kubelet"

	// disabledMarker keeps "systemctl disable kubelet" over a reboot.
	disabledMarker = "/var/lib/packetyard/kubelet.disabled"
)

// The delays between restarts, and how long a kubelet has to run to count as
// one that works.
const (
	firstDelay  = time.Second
	longestWait = 10 * time.Second
	settledTime = 30 * time.Second
	stopGrace   = 3 * time.Second
)

// Config is what a Supervisor works with.
type Config struct {
	// Root is the machine's root directory, / in a machine.
	Root   string
	Reaper *process.Reaper
	Now    func() time.Time
	// Printf writes a line to the console.
	Printf func(format string, args ...any)
	// PollInterval is how often to look whether the kubelet can be started.
	PollInterval time.Duration
}

// Active is the state of the service in the words of systemd.
type Active string

// The states of the service.
const (
	Inactive   Active = "inactive"
	Activating Active = "activating" // it ended and will be started again
	Running    Active = "active"
	// Failed is a state of other services: the kubelet is always started again.
	Failed Active = "failed"
)

// Status is what is known of the service.
type Status struct {
	Active  Active    `json:"active"`
	Enabled bool      `json:"enabled"`
	PID     int       `json:"pid,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	// Restarts counts how often it was started again since someone asked for it.
	Restarts int `json:"restarts"`
	// LastExit says how it ended the last time.
	LastExit string `json:"lastExit,omitempty"`
}

// Supervisor starts the kubelet when it is asked to, or when kubeadm has
// written its configuration, and starts it again when it ends.
type Supervisor struct {
	config Config

	mu sync.Mutex
	// wanted is true while the kubelet should run. held is true after someone
	// stopped it, until someone starts it.
	wanted, held bool
	status       Status
	// changed is closed and replaced when any of the above changes.
	changed chan struct{}
}

// New returns a Supervisor that does nothing until Run.
func New(config Config) *Supervisor {
	s := &Supervisor{config: config, changed: make(chan struct{})}
	s.status = Status{Active: Inactive, Enabled: !s.exists(disabledMarker)}
	return s
}

func (s *Supervisor) path(name string) string { return filepath.Join(s.config.Root, name) }

func (s *Supervisor) exists(name string) bool {
	_, err := os.Stat(s.path(name))
	return err == nil
}

// configured tells whether a kubelet that is started now finds what it needs.
func (s *Supervisor) configured() bool {
	return s.exists(configFile) && (s.exists(kubeconfig) || s.exists(bootstrapKubeconfig))
}

// change alters the state under the lock and wakes whoever waits for that.
func (s *Supervisor) change(alter func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	alter()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Status tells the state.
func (s *Supervisor) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *Supervisor) snapshot() (wanted, automatic bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted, s.status.Enabled && !s.held, s.changed
}

// await returns when the condition holds.
func (s *Supervisor) await(ctx context.Context, holds func(Status) bool) error {
	for {
		s.mu.Lock()
		status, changed := s.status, s.changed
		s.mu.Unlock()
		if holds(status) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the kubelet service: %w", context.Cause(ctx))
		}
	}
}

// Start starts the kubelet and returns when it was started. That it runs on
// is not waited for.
func (s *Supervisor) Start(ctx context.Context) error {
	s.change(func() { s.wanted, s.held = true, false })
	return s.await(ctx, func(status Status) bool { return status.Active != Inactive })
}

// Stop ends the kubelet and returns when it has ended.
func (s *Supervisor) Stop(ctx context.Context) error {
	s.change(func() { s.wanted, s.held = false, true })
	return s.await(ctx, func(status Status) bool { return status.Active == Inactive })
}

// Restart ends the kubelet, if it runs, and starts it.
func (s *Supervisor) Restart(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	return s.Start(ctx)
}

// SetEnabled says whether the kubelet starts by itself.
func (s *Supervisor) SetEnabled(enabled bool) error {
	marker := s.path(disabledMarker)
	if enabled {
		if err := os.Remove(marker); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("enabling the kubelet service: %w", err)
		}
	} else {
		if err := os.MkdirAll(filepath.Dir(marker), 0o755); err != nil {
			return fmt.Errorf("disabling the kubelet service: %w", err)
		}
		if err := os.WriteFile(marker, nil, 0o644); err != nil {
			return fmt.Errorf("disabling the kubelet service: %w", err)
		}
	}
	s.change(func() { s.status.Enabled = enabled })
	return nil
}

// Run supervises until the context ends, and then ends the kubelet.
func (s *Supervisor) Run(ctx context.Context) {
	for s.awaitWanted(ctx) {
		s.keepRunning(ctx)
	}
}

// awaitWanted returns true when the kubelet should run, or false when the
// context has ended.
func (s *Supervisor) awaitWanted(ctx context.Context) bool {
	ticker := time.NewTicker(s.config.PollInterval)
	defer ticker.Stop()
	for {
		wanted, automatic, changed := s.snapshot()
		if ctx.Err() != nil {
			return false
		}
		if wanted {
			return true
		}
		if automatic && s.configured() {
			s.config.Printf("kubelet: its configuration is there, starting it")
			s.change(func() { s.wanted = true })
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		case <-ticker.C:
		}
	}
}

// keepRunning starts the kubelet again and again while it is wanted.
func (s *Supervisor) keepRunning(ctx context.Context) {
	defer s.change(func() { s.status = Status{Active: Inactive, Enabled: s.status.Enabled, LastExit: s.status.LastExit} })
	delay := firstDelay
	for failures := 0; ; {
		started := s.config.Now()
		ended, err := s.runOnce(ctx)
		if !ended {
			return
		}
		if s.config.Now().Sub(started) > settledTime {
			failures, delay = 0, firstDelay
		}
		failures++
		s.config.Printf("kubelet: %v; starting it again in %v", err, delay)
		if failures == 3 {
			s.showLog()
		}
		s.change(func() {
			s.status.Active, s.status.PID, s.status.LastExit = Activating, 0, err.Error()
			s.status.Restarts++
		})
		if !s.pause(ctx, delay) {
			return
		}
		delay = min(2*delay, longestWait)
	}
}

// pause waits and returns true, or false when the kubelet is not wanted any more.
func (s *Supervisor) pause(ctx context.Context, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		wanted, _, changed := s.snapshot()
		if !wanted || ctx.Err() != nil {
			return false
		}
		select {
		case <-timer.C:
			return true
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// runOnce starts the kubelet and waits. It returns true and why when the
// kubelet ended by itself, and false when it was made to.
func (s *Supervisor) runOnce(ctx context.Context) (ended bool, err error) {
	log, err := s.openLog()
	if err != nil {
		return true, err
	}
	arguments, env := s.commandLine()
	cmd := &exec.Cmd{
		Path: s.path(program), Args: append([]string{"kubelet"}, arguments...), Env: env, Dir: "/",
		Stdout: log, Stderr: log, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	child, err := s.config.Reaper.Start(cmd)
	_ = log.Close()
	if err != nil {
		return true, err
	}
	s.change(func() {
		s.status.Active, s.status.PID, s.status.Since = Running, child.PID(), s.config.Now()
	})
	trim := time.NewTicker(time.Minute)
	defer trim.Stop()
	for {
		wanted, _, changed := s.snapshot()
		if !wanted || ctx.Err() != nil {
			child.Stop(syscall.SIGTERM, stopGrace)
			return false, nil
		}
		select {
		case <-child.Done():
			exit := &process.ExitError{Code: child.ExitCode(), Signal: child.ExitSignal()}
			return true, fmt.Errorf("it ended: %w", exit)
		case <-trim.C:
			trimLog(s.path(LogFile))
		case <-changed:
		case <-ctx.Done():
		}
	}
}
