package units

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// Active is a unit's state in systemd's words.
type Active string

// The states of a unit.
const (
	Inactive   Active = "inactive"
	Activating Active = "activating"
	Running    Active = "active"
	Failed     Active = "failed"
)

// Status is what is known of a unit.
type Status struct {
	Active Active `json:"active"`
	// Detail is systemd's substate, for example exited, running or dead.
	Detail  string    `json:"detail"`
	Enabled bool      `json:"enabled"`
	Since   time.Time `json:"since,omitzero"`
	// Restarts counts how often the service was started again by itself.
	Restarts int `json:"restarts"`
	// Failure says why the unit is failed.
	Failure string `json:"failure,omitempty"`
}

// Config is what a Manager works with.
type Config struct {
	Store
	// Run runs a command until it ends or the context does, and returns an error
	// where it does not end with 0.
	Run func(ctx context.Context, cmd *exec.Cmd, output io.Writer) error
	// Builtin tells whether a unit is part of the machine itself, and starts it.
	// It may be nil.
	Builtin func(ctx context.Context, name string) (known bool, err error)
	// Environment is that of all services.
	Environment []string
	Hostname    func() string
	// Output gets what services say, as their log files do.
	Output io.Writer
	// Printf writes a line to the console.
	Printf func(format string, args ...any)
	Now    func() time.Time
}

// Manager starts and stops units.
type Manager struct {
	Config
	// lifetime is the context of what runs on after it was started.
	lifetime context.Context
	daemons  sync.WaitGroup

	mu     sync.Mutex
	states map[string]*state
}

// state is what a Manager knows of one unit; it is guarded by the manager's lock.
type state struct {
	status Status
	// stop ends the service's process, and ended is closed when that has happened.
	stop  context.CancelFunc
	ended chan struct{}
}

// New returns a manager whose services end with the context.
func New(ctx context.Context, config Config) *Manager {
	return &Manager{Config: config, lifetime: ctx, states: map[string]*state{}}
}

// Wait returns when all services have ended, after the manager's context has.
func (m *Manager) Wait() { m.daemons.Wait() }

// Boot starts all enabled units and returns when each has started, or failed to.
func (m *Manager) Boot(ctx context.Context) error {
	enabled, err := m.Enabled()
	if err != nil {
		return err
	}
	if len(enabled) == 0 {
		return nil
	}
	// A boot wants its units, and requires none.
	return m.Start(ctx, enabled...)
}

// Start starts units with all that they require and want, in their order. It
// returns when each has started, or failed to; the error tells all failures.
func (m *Manager) Start(ctx context.Context, names ...string) error {
	t := transaction{Manager: m, jobs: map[string]*job{}}
	var failures []error
	for _, name := range names {
		if err := t.add(name); err != nil {
			failures = append(failures, err)
		}
	}
	return errors.Join(append(failures, t.run(ctx)...)...)
}

// Stop ends a unit and returns when it has ended.
func (m *Manager) Stop(ctx context.Context, name string) error {
	m.mu.Lock()
	s := m.states[name]
	m.mu.Unlock()
	if s == nil {
		if !m.Exists(name) {
			return fmt.Errorf("unit %s: %w", name, ErrNotFound)
		}
		return nil
	}
	if u, err := m.Load(name); err == nil && s.status.Active == Running {
		for _, command := range u.Service.Stop {
			if err := m.command(ctx, u, command); err != nil {
				m.Printf("%s: ExecStop: %v", name, err)
			}
		}
	}
	if s.stop != nil {
		s.stop()
		select {
		case <-s.ended:
		case <-ctx.Done():
			return fmt.Errorf("stopping %s: %w", name, context.Cause(ctx))
		}
	}
	m.set(name, Status{Active: Inactive, Detail: "dead"})
	return nil
}

// Status tells a unit's state. The error is ErrNotFound where it has no file.
func (m *Manager) Status(name string) (Status, error) {
	if !m.Exists(name) {
		return Status{Active: Inactive, Detail: "dead"}, fmt.Errorf("unit %s: %w", name, ErrNotFound)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	status := Status{Active: Inactive, Detail: "dead"}
	if s := m.states[name]; s != nil {
		status = s.status
	}
	status.Enabled = m.IsEnabled(name)
	return status, nil
}

// set records a unit's state.
func (m *Manager) set(name string, status Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.states[name]
	if s == nil {
		s = &state{}
		m.states[name] = s
	}
	if status.Since.IsZero() {
		status.Since = m.Now()
	}
	status.Restarts += s.status.Restarts
	s.status = status
}

func (m *Manager) active(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.states[name]
	return s != nil && (s.status.Active == Running || s.status.Active == Activating)
}

// transaction is all that one request starts.
type transaction struct {
	*Manager
	jobs map[string]*job
}

// job is the start of one unit.
type job struct {
	unit *Unit
	// builtin units are the machine's own.
	builtin bool
	// after are the jobs to wait for.
	after []*job
	// done is closed when the unit has started or failed; err is valid then.
	done chan struct{}
	err  error
}

// add adds the start of a unit and of what it requires and wants.
func (t *transaction) add(name string) error {
	if t.jobs[name] != nil || t.active(name) {
		return nil
	}
	builtin := t.isBuiltin(name)
	if builtin && t.Exists(name) {
		t.Printf("%s: it is part of the machine, its unit file has no effect", name)
	}
	if builtin || (strings.HasSuffix(name, ".target") && !t.Exists(name)) {
		t.jobs[name] = &job{unit: &Unit{Name: name}, builtin: true, done: make(chan struct{})}
		return nil
	}
	u, err := t.Load(name)
	if err != nil {
		return err
	}
	t.jobs[name] = &job{unit: u, done: make(chan struct{})}
	for _, required := range u.Requires {
		if err := t.add(required); err != nil {
			delete(t.jobs, name)
			return fmt.Errorf("unit %s requires another: %w", name, err)
		}
	}
	for _, wanted := range u.Wants {
		if err := t.add(wanted); err != nil {
			t.Printf("%s wants another: %v", name, err)
		}
	}
	return nil
}

// isBuiltin tells of the machine's own units.
func (t *transaction) isBuiltin(name string) bool {
	if t.Builtin == nil {
		return false
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	// With a context that has ended nothing is started.
	known, _ := t.Builtin(ended, name)
	return known
}

// order links the jobs, and leaves out what would make a circle.
func (t *transaction) order() {
	link := func(later, earlier *job) {
		if later == nil || earlier == nil || later == earlier {
			return
		}
		if reaches(earlier, later) {
			t.Printf("units: the order of %s and %s is a circle, it is not kept", later.unit.Name, earlier.unit.Name)
			return
		}
		later.after = append(later.after, earlier)
	}
	var sorted []string
	for name := range t.jobs {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	for _, name := range sorted {
		for _, earlier := range t.jobs[name].unit.After {
			link(t.jobs[name], t.jobs[earlier])
		}
		for _, later := range t.jobs[name].unit.Before {
			link(t.jobs[later], t.jobs[name])
		}
	}
}

// reaches tells whether a job waits for another, directly or not.
func reaches(from, to *job) bool {
	return slices.ContainsFunc(from.after, func(next *job) bool { return next == to || reaches(next, to) })
}

// run starts all jobs, each as soon as those that it waits for are done.
func (t *transaction) run(ctx context.Context) []error {
	t.order()
	for _, one := range t.jobs {
		go func() {
			defer close(one.done)
			for _, earlier := range one.after {
				<-earlier.done
			}
			if one.err = t.dependency(one); one.err == nil {
				one.err = t.start(ctx, one)
			}
		}()
	}
	var failures []error
	for _, one := range t.jobs {
		<-one.done
		if one.err != nil {
			failures = append(failures, one.err)
		}
	}
	// The order of a map is none to report in.
	slices.SortFunc(failures, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return failures
}

// dependency tells of a required unit that comes earlier and has failed.
func (t *transaction) dependency(one *job) error {
	for _, earlier := range one.after {
		if earlier.err != nil && slices.Contains(one.unit.Requires, earlier.unit.Name) {
			t.Printf("%s: dependency failed: %s", one.unit.Name, earlier.unit.Name)
			return fmt.Errorf("unit %s: its dependency %s has failed", one.unit.Name, earlier.unit.Name)
		}
	}
	return nil
}

func (t *transaction) start(ctx context.Context, one *job) error {
	if !one.builtin {
		return t.startUnit(ctx, one.unit)
	}
	if t.Builtin == nil {
		return nil
	}
	_, err := t.Builtin(ctx, one.unit.Name)
	return err
}
