// Package rack is the process that holds the machines: it is the network's
// switch, their power supply and their console server. It lives on when the
// Packet API server does not, so that machines run on, and remembers in its
// directory which of them ought to run.
package rack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/namespaces/bgp"
	"github.com/packetyard/packetyard/internal/machines/namespaces/events"
	"github.com/packetyard/packetyard/internal/machines/namespaces/fabric"
)

// Config is what a rack needs.
type Config struct {
	// Directory holds the machines, ImageDirectory the machine image; both are absolute.
	Directory      string
	ImageDirectory string
	// BootCommand are the arguments by which this program becomes a machine's boot stage.
	BootCommand []string
	// UserNamespace gives each machine a user namespace of its own. Without, its root is the host's.
	UserNamespace bool
	// StopGrace is how long a machine has to end in good order, BootTimeout how long its boot stage may take.
	StopGrace   time.Duration
	BootTimeout time.Duration
	// RebootPause is how long a machine that reboots itself within that time has to wait.
	RebootPause time.Duration
	Now         func() time.Time
	Logger      *slog.Logger
}

// Rack holds the machines.
type Rack struct {
	config  Config
	fabric  *fabric.Switch
	bgp     *bgp.Switches
	starter *starter
	events  events.Broadcaster

	mutex          sync.Mutex
	imageDirectory string
	machines       map[string]*machine
	closing        bool
}

// errClosing answers whoever asks for something while the rack shuts down.
var errClosing = errors.New("the rack is shutting down")

// New makes the switch in the network namespace of the caller, which must be
// its own, and boots the machines that ran when an earlier rack ended.
func New(config Config) (*Rack, error) {
	records, err := readRecords(config.Directory)
	if err != nil {
		return nil, err
	}
	for _, found := range records {
		if err := endOrphan(filepath.Join(config.Directory, found.Spec.ID, pidName)); err != nil {
			return nil, fmt.Errorf("machine %s: %w", found.Spec.ID, err)
		}
	}
	network, err := fabric.New()
	if err != nil {
		return nil, err
	}
	r := &Rack{
		config:         config,
		fabric:         network,
		bgp:            bgp.New(bgp.Config{IPv6: network.IPv6(), Route: network.SetAnnounced, Logger: config.Logger}),
		starter:        newStarter(),
		imageDirectory: config.ImageDirectory,
		machines:       map[string]*machine{},
	}
	for _, found := range records {
		restored := r.newMachine(found)
		r.machines[found.Spec.ID] = restored
		if found.Power == machines.PowerOn {
			// Nobody is to take it for off before its boot was tried.
			restored.restoring = true
			go r.restore(restored)
		}
	}
	return r, nil
}

// restore boots a machine as when the power comes back.
func (r *Rack) restore(m *machine) {
	ctx := context.Background()
	if err := m.acquire(ctx); err != nil {
		return
	}
	defer m.release()
	defer m.restored()
	if m.record.Power != machines.PowerOn || m.running() != nil {
		return
	}
	if err := r.boot(ctx, m); err != nil && !errors.Is(err, errClosing) {
		r.failed(m, err)
	}
}

// Provision implements the driver's method of that name.
func (r *Rack) Provision(ctx context.Context, spec machines.Spec) error {
	if err := errors.Join(checkSpec(spec), fabric.Validate(spec.Addresses)); err != nil {
		return invalidError{err}
	}
	m, err := r.take(ctx, spec)
	if err != nil {
		return err
	}
	defer m.release()
	if m.made() {
		if err := r.setAddresses(m, spec.Addresses); err != nil {
			return err
		}
		if m.record.Power == machines.PowerOff || m.running() != nil {
			return nil
		}
		// It was to run and does not: its boot failed, or was cut off.
		return r.boot(ctx, m)
	}
	if err := m.save(record{Spec: spec, Power: machines.PowerOn}); err != nil {
		return err
	}
	return r.boot(ctx, m)
}

// Reinstall implements the driver's method of that name.
func (r *Rack) Reinstall(ctx context.Context, spec machines.Spec) error {
	if err := errors.Join(checkSpec(spec), fabric.Validate(spec.Addresses)); err != nil {
		return invalidError{err}
	}
	m, err := r.take(ctx, spec)
	if err != nil {
		return err
	}
	defer m.release()
	if err := r.halt(m, 0); err != nil {
		return err
	}
	if err := m.wipe(); err != nil {
		return err
	}
	if err := m.save(record{Spec: spec, Power: machines.PowerOn}); err != nil {
		return err
	}
	return r.boot(ctx, m)
}

// Deprovision implements the driver's method of that name.
func (r *Rack) Deprovision(ctx context.Context, id string) error {
	m, err := r.find(ctx, id)
	if errors.Is(err, machines.ErrNotFound) {
		if !identifier.MatchString(id) {
			return nil
		}
		// Half of a machine may be left by a rack that died.
		return RemoveTree(filepath.Join(r.config.Directory, id))
	}
	if err != nil {
		return err
	}
	defer m.release()
	if err := r.halt(m, 0); err != nil {
		return err
	}
	// Without its record a directory is no machine any more, also if what follows is cut off.
	if err := os.Remove(filepath.Join(m.directory, specName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the machine's record: %w", err)
	}
	if err := RemoveTree(m.directory); err != nil {
		return err
	}
	m.leave()
	r.mutex.Lock()
	delete(r.machines, id)
	r.mutex.Unlock()
	return nil
}

// PowerOn implements the driver's method of that name.
func (r *Rack) PowerOn(ctx context.Context, id string) error {
	m, err := r.find(ctx, id)
	if err != nil {
		return err
	}
	defer m.release()
	if m.running() != nil {
		return nil
	}
	if err := m.switchOn(); err != nil {
		return err
	}
	return r.boot(ctx, m)
}

// PowerOff implements the driver's method of that name.
func (r *Rack) PowerOff(ctx context.Context, id string) error {
	m, err := r.find(ctx, id)
	if err != nil {
		return err
	}
	defer m.release()
	if err := m.setPower(machines.PowerOff); err != nil {
		return err
	}
	return r.halt(m, terminate)
}

// Reboot implements the driver's method of that name. A machine that is off is switched on.
func (r *Rack) Reboot(ctx context.Context, id string) error {
	m, err := r.find(ctx, id)
	if err != nil {
		return err
	}
	defer m.release()
	if err := m.switchOn(); err != nil {
		return err
	}
	if err := r.halt(m, restart); err != nil {
		return err
	}
	return r.boot(ctx, m)
}

// Rescue implements the driver's method of that name. A machine that is in
// its rescue system already is booted into it anew.
func (r *Rack) Rescue(ctx context.Context, spec machines.Spec) error {
	if err := errors.Join(checkSpec(spec), fabric.Validate(spec.Addresses)); err != nil {
		return invalidError{err}
	}
	m, err := r.find(ctx, spec.ID)
	if err != nil {
		return err
	}
	defer m.release()
	if err := m.save(record{Spec: spec, Power: machines.PowerOn, Rescue: true}); err != nil {
		return err
	}
	if err := r.halt(m, restart); err != nil {
		return err
	}
	return r.boot(ctx, m)
}

// SetAddresses implements the driver's method of that name.
func (r *Rack) SetAddresses(ctx context.Context, id string, addresses []machines.Address) error {
	if err := fabric.Validate(addresses); err != nil {
		return invalidError{err}
	}
	m, err := r.find(ctx, id)
	if err != nil {
		return err
	}
	defer m.release()
	return r.setAddresses(m, addresses)
}

func (r *Rack) setAddresses(m *machine, addresses []machines.Address) error {
	changed := m.record
	changed.Spec.Addresses = slices.Clone(addresses)
	if err := m.save(changed); err != nil {
		return err
	}
	return r.fabric.SetAddresses(m.id, addresses)
}

// SetImageDirectory changes where machines that boot from now on have their image from.
func (r *Rack) SetImageDirectory(directory string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.imageDirectory = directory
}

// ImageDirectory is where machines that boot now have their image from.
func (r *Rack) ImageDirectory() string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.imageDirectory
}

// List implements the driver's method of that name.
func (r *Rack) List() []machines.Status {
	memory := memoryByNamespace()
	list := []machines.Status{}
	for _, m := range r.snapshot() {
		status, exists := m.status()
		if !exists {
			continue
		}
		if status.PID != 0 {
			status.MemoryBytes = memory[pidNamespace(status.PID)]
		}
		list = append(list, status)
	}
	return list
}

// Shutdown ends every machine, and removes them all if it is told to. It
// leaves the power state that a machine ought to have as it is: a later rack
// boots those that ran.
func (r *Rack) Shutdown(ctx context.Context, remove bool) error {
	r.mutex.Lock()
	r.closing = true
	r.mutex.Unlock()
	all := r.snapshot()
	problems := make([]error, len(all))
	var group sync.WaitGroup
	for index, m := range all {
		group.Go(func() {
			if remove {
				problems[index] = r.Deprovision(ctx, m.id)
				return
			}
			if problems[index] = m.acquire(ctx); problems[index] == nil {
				defer m.release()
				problems[index] = r.halt(m, terminate)
			}
		})
	}
	group.Wait()
	return errors.Join(problems...)
}

// snapshot is every machine, in the order of their identifiers.
func (r *Rack) snapshot() []*machine {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var all []*machine
	for _, m := range r.machines {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *machine) int { return strings.Compare(a.id, b.id) })
	return all
}

// find waits for a machine to be free and returns it, acquired.
func (r *Rack) find(ctx context.Context, id string) (*machine, error) {
	r.mutex.Lock()
	m, found := r.machines[id]
	r.mutex.Unlock()
	if !found {
		return nil, fmt.Errorf("%w: %s", machines.ErrNotFound, id)
	}
	if err := m.acquire(ctx); err != nil {
		return nil, err
	}
	if m.gone || !m.made() {
		m.release()
		return nil, fmt.Errorf("%w: %s", machines.ErrNotFound, id)
	}
	return m, nil
}

// take is find for a machine that may have to be made.
func (r *Rack) take(ctx context.Context, spec machines.Spec) (*machine, error) {
	for {
		r.mutex.Lock()
		if r.closing {
			r.mutex.Unlock()
			return nil, errClosing
		}
		m, found := r.machines[spec.ID]
		if !found {
			m = r.newMachine(record{Spec: machines.Spec{ID: spec.ID}})
			r.machines[spec.ID] = m
		}
		r.mutex.Unlock()
		if err := m.acquire(ctx); err != nil {
			return nil, err
		}
		if !m.gone {
			return m, nil
		}
		// It was removed while we waited: the next turn makes a new one.
		m.release()
	}
}

// failed records that a machine that nobody waits for could not boot.
func (r *Rack) failed(m *machine, err error) {
	r.config.Logger.Error("machine does not boot", "id", m.id, "error", err)
	if err := m.setPower(machines.PowerOff); err != nil {
		r.config.Logger.Error("machine's power state is not recorded", "id", m.id, "error", err)
	}
	r.events.Send(machines.Event{ID: m.id, Power: machines.PowerOff, Detail: "the machine does not boot: " + err.Error()})
}

// invalidError marks an error that is the caller's.
type invalidError struct{ error }

func (e invalidError) Unwrap() error { return e.error }
