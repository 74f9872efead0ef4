package rack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/namespaces/boot"
	"github.com/packetyard/packetyard/internal/machines/namespaces/fabric"
	"github.com/packetyard/packetyard/internal/machines/namespaces/wire"
)

// The signals by which a machine's first process is told what to do.
const (
	terminate = syscall.SIGTERM
	restart   = syscall.SIGINT
)

// machine is one machine of the rack.
type machine struct {
	id        string
	directory string
	console   *console
	// free holds one token: whoever has it may change the machine.
	free chan struct{}
	// record and gone are written by the token's holder alone. gone is set
	// when the machine was removed while others waited for the token.
	record record
	gone   bool

	// mutex guards process and restoring, and record and gone against status.
	mutex   sync.Mutex
	process *process
	// restoring is set from the rack's start until a machine that ought to run was booted.
	restoring bool
}

func (r *Rack) newMachine(found record) *machine {
	directory := filepath.Join(r.config.Directory, found.Spec.ID)
	m := &machine{
		id:        found.Spec.ID,
		directory: directory,
		console:   &console{path: filepath.Join(directory, wire.ConsoleName), limit: consoleLimit},
		free:      make(chan struct{}, 1),
		record:    found,
	}
	m.release()
	return m
}

func (m *machine) acquire(ctx context.Context) error {
	select {
	case <-m.free:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for machine %s: %w", m.id, context.Cause(ctx))
	}
}

func (m *machine) release() { m.free <- struct{}{} }

// made tells whether the machine has a record, and so exists.
func (m *machine) made() bool { return m.record.Power != "" }

func (m *machine) running() *process {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.process
}

func (m *machine) setRunning(running *process) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.process = running
}

func (m *machine) restored() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.restoring = false
}

// leave marks a machine that was removed.
func (m *machine) leave() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.gone = true
}

// status is what is known without looking into the machine.
func (m *machine) status() (machines.Status, bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	status := machines.Status{ID: m.id, Hostname: m.record.Spec.Hostname, Power: machines.PowerOff}
	if m.restoring {
		status.Power = machines.PowerOn
	}
	if m.process != nil {
		status.Power, status.PID = machines.PowerOn, m.process.pid
	}
	return status, m.made() && !m.gone
}

func (m *machine) save(changed record) error {
	// The directory above it is not made: where it was removed, so was the yard.
	if err := os.Mkdir(m.directory, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making the machine's directory: %w", err)
	}
	if err := writeJSON(filepath.Join(m.directory, specName), changed); err != nil {
		return err
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.record = changed
	return nil
}

func (m *machine) setPower(power machines.PowerState) error {
	changed := m.record
	changed.Power = power
	return m.save(changed)
}

// switchOn records that the machine is to run from its disk.
func (m *machine) switchOn() error {
	changed := m.record
	changed.Power = machines.PowerOn
	changed.Rescue = false
	return m.save(changed)
}

// wipe removes what the machine has written, but for its console.
func (m *machine) wipe() error {
	return errors.Join(RemoveTree(filepath.Join(m.directory, boot.DiskName)), RemoveTree(filepath.Join(m.directory, boot.OverlayName)), m.wipeRescue())
}

// wipeRescue removes what the rescue system has written, which counts as its
// memory.
func (m *machine) wipeRescue() error {
	return RemoveTree(filepath.Join(m.directory, boot.RescueName))
}

// boot starts a machine that does not run. Its token is the caller's.
func (r *Rack) boot(ctx context.Context, m *machine) error {
	r.mutex.Lock()
	closing := r.closing
	r.mutex.Unlock()
	if closing {
		return errClosing
	}
	begun := r.config.Now()
	if err := r.tryBoot(ctx, m); err != nil {
		// The console is where people look first.
		fmt.Fprintf(m.console, "boot: %v\n", err)
		return fmt.Errorf("booting machine %s: %w", m.id, err)
	}
	r.config.Logger.Info("machine runs", "id", m.id, "hostname", m.record.Spec.Hostname, "pid", m.running().pid,
		"duration", r.config.Now().Sub(begun))
	return nil
}

func (r *Rack) tryBoot(ctx context.Context, m *machine) error {
	image := r.ImageDirectory()
	if info, err := os.Stat(filepath.Join(image, boot.InitName)); err != nil {
		return fmt.Errorf("the machine image has no %s: %w", boot.InitName, err)
	} else if info.Mode()&0o111 == 0 {
		return fmt.Errorf("the machine image's %s is not executable", boot.InitName)
	}
	if err := m.wipeRescue(); err != nil {
		return err
	}
	control := filepath.Join(m.directory, boot.ControlName)
	if err := os.MkdirAll(control, 0o700); err != nil {
		return fmt.Errorf("making the control directory: %w", err)
	}
	// A socket of the machine's last life would keep init from listening.
	if err := os.Remove(filepath.Join(control, wire.InitSocketName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing init's old socket: %w", err)
	}
	started, err := r.bootProcess(bootConfig(m, image, r.config.UserNamespace), m.console)
	if err != nil {
		return err
	}
	if err := r.finishBoot(ctx, m, started); err != nil {
		started.kill()
		return errors.Join(err, r.fabric.Disconnect(m.id))
	}
	m.setRunning(started)
	go r.attend(m, started)
	return nil
}

// finishBoot connects the network while the boot stage makes the file systems.
func (r *Rack) finishBoot(ctx context.Context, m *machine, started *process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.config.BootTimeout,
		fmt.Errorf("%w of %s for the boot stage", context.DeadlineExceeded, r.config.BootTimeout))
	defer cancel()
	who, err := identify(started.pid)
	if err == nil {
		err = writeJSON(filepath.Join(m.directory, pidName), who)
	}
	if err == nil {
		err = r.fabric.Connect(m.id, started.pid, m.record.Spec.Addresses)
	}
	if err != nil {
		return errors.Join(err, started.release())
	}
	return started.enter(ctx)
}

// metadataCertificate is what the metadata service proves its names with, in
// the data directory.
const metadataCertificate = "metadata.crt"

func bootConfig(m *machine, image string, userNamespace bool) boot.Config {
	spec := m.record.Spec
	config := boot.Config{
		Directory:      m.directory,
		ImageDirectory: image,
		ID:             spec.ID,
		Hostname:       spec.Hostname,
		HostAddress:    "127.0.1.1",
		CPUs:           spec.CPUs,
		MemoryBytes:    spec.MemoryBytes,
		Hosts: map[string][]string{
			fabric.MetadataAddress: {"metadata.packet.net", "metadata.platformequinix.com"},
			fabric.APIAddress:      {"api.packet.net"},
		},
		MetadataURL: "http://" + fabric.MetadataAddress,
		// The machines' directories are in one folder of the API server's.
		TrustedCertificate: filepath.Join(filepath.Dir(filepath.Dir(m.directory)), metadataCertificate),
		NameServer:         fabric.APIAddress,
		UserNamespace:      userNamespace,
		Rescue:             m.record.Rescue,
	}
	for _, address := range spec.Addresses {
		if address.Management && address.Public && address.Family == 4 {
			config.HostAddress = address.Address
			break
		}
	}
	return config
}

// halt ends the machine if it runs: at once where signal is 0, else in good
// order if it does so in time. Its token is the caller's.
func (r *Rack) halt(m *machine, signal syscall.Signal) error {
	running := m.running()
	if running == nil {
		return r.fabric.Disconnect(m.id)
	}
	if signal == 0 {
		running.kill()
	} else {
		running.stop(signal, r.config.StopGrace)
	}
	return r.ended(m)
}

// ended puts away what a machine had while it ran.
func (r *Rack) ended(m *machine) error {
	m.setRunning(nil)
	err := r.fabric.Disconnect(m.id)
	r.endBGP(m)
	if removeError := os.Remove(filepath.Join(m.directory, pidName)); removeError != nil && !errors.Is(removeError, fs.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("removing the process's record: %w", removeError))
	}
	return err
}

// attend waits for the end of a machine's first process, and acts on it
// unless somebody else, who asked for that end, has done so.
func (r *Rack) attend(m *machine, started *process) {
	<-started.done
	ctx := context.Background()
	if err := m.acquire(ctx); err != nil {
		return
	}
	defer m.release()
	if m.running() != started {
		return
	}
	if err := r.ended(m); err != nil {
		r.config.Logger.Error("machine's end is not complete", "id", m.id, "error", err)
	}
	if !started.reboots() {
		detail := fmt.Sprintf("the machine's first process ended: %s", started.state)
		r.config.Logger.Info("machine is off", "id", m.id, "detail", detail)
		if err := m.setPower(machines.PowerOff); err != nil {
			r.config.Logger.Error("machine's power state is not recorded", "id", m.id, "error", err)
		}
		r.events.Send(machines.Event{ID: m.id, Power: machines.PowerOff, Detail: detail})
		return
	}
	r.config.Logger.Info("machine reboots itself", "id", m.id)
	if err := m.switchOn(); err != nil {
		r.config.Logger.Error("machine's power state is not recorded", "id", m.id, "error", err)
	}
	if r.config.Now().Sub(started.started) < r.config.RebootPause {
		// A rack that is ending does not wait; boot then says that it is closing.
		select {
		case <-time.After(r.config.RebootPause):
		case <-ctx.Done():
		}
	}
	if err := r.boot(ctx, m); err != nil && !errors.Is(err, errClosing) {
		r.failed(m, err)
	}
}
