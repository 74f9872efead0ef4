package units

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/packetyard/packetyard/internal/machineos/envfile"
	"github.com/packetyard/packetyard/internal/machineos/process"
)

// logs is where the output of services is kept, a file each.
const logs = "/var/log/units"

// LogFile is where a unit's output is kept.
func LogFile(name string) string { return filepath.Join(logs, name+".log") }

// A service that is started more often than this in so short a time is given up.
const (
	startLimit    = 5
	startInterval = 10 * time.Second
)

// startUnit starts one unit and returns when it has started, which for a
// oneshot service is when it has ended.
func (m *Manager) startUnit(ctx context.Context, u *Unit) error {
	for _, condition := range u.Conditions {
		if m.holds(condition) {
			continue
		}
		text := fmt.Sprintf("%s=%s", condition.Name, condition.Value)
		if condition.Asserted {
			return m.fail(u, fmt.Errorf("assertion %s does not hold", text))
		}
		m.Printf("%s: skipped, condition %s does not hold", u.Name, text)
		return nil
	}
	if len(u.Ignored) > 0 {
		m.Printf("%s: without effect here: %s", u.Name, strings.Join(u.Ignored, ", "))
	}
	switch kind := filepath.Ext(u.Name); kind {
	case ".service":
		return m.startService(ctx, u)
	case ".mount":
		// Data goes to the machine's one disk, where the directory is.
		if err := os.MkdirAll(m.path(u.Where), 0o755); err != nil {
			return m.fail(u, fmt.Errorf("making its directory: %w", err))
		}
		m.Printf("%s: the machine has one disk, %s is a directory on it", u.Name, u.Where)
	case ".target":
	default:
		m.Printf("%s: units of this kind have no effect here", u.Name)
		return nil
	}
	m.set(u.Name, Status{Active: Running, Detail: "active"})
	return nil
}

func (m *Manager) fail(u *Unit, err error) error {
	m.Printf("%s: failed: %v", u.Name, err)
	m.set(u.Name, Status{Active: Failed, Detail: "failed", Failure: err.Error()})
	return fmt.Errorf("unit %s: %w", u.Name, err)
}

// startService runs a service, once if it is oneshot, else beside all others.
func (m *Manager) startService(ctx context.Context, u *Unit) error {
	m.set(u.Name, Status{Active: Activating, Detail: "start"})
	if u.Service.Type == "oneshot" || u.Service.Type == "forking" {
		return m.runToEnd(ctx, u)
	}
	if err := m.commands(ctx, u, "ExecStartPre", u.Service.StartPre); err != nil {
		return m.fail(u, err)
	}
	running, stop := context.WithCancel(m.lifetime)
	ended := make(chan struct{})
	m.set(u.Name, Status{Active: Running, Detail: "running"})
	m.mu.Lock()
	m.states[u.Name].stop, m.states[u.Name].ended = stop, ended
	m.mu.Unlock()
	m.Printf("%s: started", u.Name)
	m.daemons.Go(func() {
		defer close(ended)
		defer stop()
		m.keepRunning(running, u)
	})
	if err := m.commands(ctx, u, "ExecStartPost", u.Service.StartPost); err != nil {
		return m.fail(u, err)
	}
	return nil
}

// runToEnd runs a oneshot service, again where it fails and is to be started again.
func (m *Manager) runToEnd(ctx context.Context, u *Unit) error {
	limit := limiter{now: m.Now}
	for {
		m.Printf("%s: starting", u.Name)
		err := m.runOnce(ctx, u)
		if err == nil {
			if u.Service.RemainAfterExit || u.Service.Type == "forking" {
				m.set(u.Name, Status{Active: Running, Detail: "exited"})
			} else {
				m.set(u.Name, Status{Active: Inactive, Detail: "dead"})
			}
			m.Printf("%s: finished", u.Name)
			return nil
		}
		if ctx.Err() != nil || !slices.Contains([]string{"always", "on-failure"}, u.Service.Restart) {
			return m.fail(u, err)
		}
		if !limit.allow() {
			return m.fail(u, fmt.Errorf("it was started %d times within %s: %w", startLimit, startInterval, err))
		}
		m.Printf("%s: %v; starting it again in %s", u.Name, err, u.Service.RestartDelay)
		if !pause(ctx, u.Service.RestartDelay) {
			return m.fail(u, err)
		}
		m.set(u.Name, Status{Active: Activating, Detail: "auto-restart", Restarts: 1})
	}
}

func (m *Manager) runOnce(ctx context.Context, u *Unit) error {
	if limit := u.Service.StartTimeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %s", limit))
		defer cancel()
	}
	for _, step := range []struct {
		name     string
		commands []Command
	}{{"ExecStartPre", u.Service.StartPre}, {"ExecStart", u.Service.Start}, {"ExecStartPost", u.Service.StartPost}} {
		if err := m.commands(ctx, u, step.name, step.commands); err != nil {
			return err
		}
	}
	return nil
}

// keepRunning runs a service's program until it is stopped, or ends for good.
func (m *Manager) keepRunning(ctx context.Context, u *Unit) {
	limit := limiter{now: m.Now}
	for {
		err := m.command(ctx, u, u.Service.Start[0])
		if ctx.Err() != nil {
			return
		}
		again := u.Service.Restart == "always" || (err != nil && strings.HasPrefix(u.Service.Restart, "on-") && u.Service.Restart != "on-success") ||
			(err == nil && u.Service.Restart == "on-success")
		switch {
		case again && limit.allow():
			m.Printf("%s: it ended (%v); starting it again in %s", u.Name, orNone(err), u.Service.RestartDelay)
			m.set(u.Name, Status{Active: Activating, Detail: "auto-restart", Restarts: 1})
			if !pause(ctx, u.Service.RestartDelay) {
				return
			}
			m.set(u.Name, Status{Active: Running, Detail: "running"})
			continue
		case err != nil:
			_ = m.fail(u, err) // Whoever started it has gone on long ago.
		case u.Service.RemainAfterExit:
			m.set(u.Name, Status{Active: Running, Detail: "exited"})
		default:
			m.set(u.Name, Status{Active: Inactive, Detail: "dead"})
		}
		return
	}
}

func orNone(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// commands runs several commands one after the other.
func (m *Manager) commands(ctx context.Context, u *Unit, name string, commands []Command) error {
	for _, one := range commands {
		if err := m.command(ctx, u, one); err != nil && !one.MayFail {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// command runs one command of a service.
func (m *Manager) command(ctx context.Context, u *Unit, command Command) error {
	environment, err := m.environment(u)
	if err != nil {
		return err
	}
	specifiers := m.specifiers(u.Name)
	words := expand(command.Words, func(name string) string { return envfile.Get(environment, name) }, specifiers)
	program, err := lookPath(words[0], environment)
	if err != nil {
		return err
	}
	log, err := m.openLog(u.Name)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	directory := specify(u.Service.WorkingDirectory, specifiers)
	if directory == "" || directory == "~" {
		directory = map[string]string{"": "/", "~": "/root"}[directory]
	}
	cmd := &exec.Cmd{Path: program, Args: words, Env: environment, Dir: m.path(directory)}
	err = m.Run(ctx, cmd, io.MultiWriter(log, m.Output))
	var exit *process.ExitError
	if errors.As(err, &exit) && slices.Contains(u.Service.Successes, exit.Code) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", words[0], err)
	}
	return nil
}

func (m *Manager) openLog(name string) (*os.File, error) {
	file := m.path(LogFile(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, fmt.Errorf("making the log's directory: %w", err)
	}
	log, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("opening the unit's log: %w", err)
	}
	return log, nil
}

// environment is that of a service: what all have, its own, and its files'.
func (m *Manager) environment(u *Unit) ([]string, error) {
	specifiers := m.specifiers(u.Name)
	environment := slices.Clone(m.Environment)
	for _, assignment := range u.Service.Environment {
		if strings.Contains(assignment, "=") {
			environment = envfile.Set(environment, specify(assignment, specifiers))
		}
	}
	for _, name := range u.Service.EnvironmentFiles {
		name, optional := strings.CutPrefix(specify(name, specifiers), "-")
		content, err := os.ReadFile(m.path(name))
		if optional && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("EnvironmentFile %s: %w", name, err)
		}
		for _, assignment := range envfile.Parse(content) {
			environment = envfile.Set(environment, assignment)
		}
	}
	return environment, nil
}

func (m *Manager) specifiers(name string) map[byte]string {
	base := strings.TrimSuffix(name, filepath.Ext(name))
	prefix, instance, _ := strings.Cut(base, "@")
	return map[byte]string{
		'n': name, 'N': base, 'p': prefix, 'P': prefix, 'i': instance, 'I': instance, 'H': m.Hostname(), 'l': m.Hostname(),
		't': "/run", 'S': "/var/lib", 'C': "/var/cache", 'L': "/var/log", 'E': "/etc", 'h': "/root", 'u': "root", 'U': "0", 's': "/bin/sh",
	}
}

// lookPath finds a program by the environment's PATH.
func lookPath(name string, environment []string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	for _, directory := range filepath.SplitList(envfile.Get(environment, "PATH")) {
		file := filepath.Join(directory, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s: executable file not found in PATH", name)
}

// pause returns true after a time, or false when the context ends before.
func pause(ctx context.Context, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// limiter counts starts.
type limiter struct {
	now    func() time.Time
	starts []time.Time
}

// allow tells whether there may be another start now.
func (l *limiter) allow() bool {
	now := l.now()
	l.starts = append(slices.DeleteFunc(l.starts, func(at time.Time) bool { return now.Sub(at) > startInterval }), now)
	return len(l.starts) < startLimit
}
