// Package machineos is the operating system of a simulated machine: its first
// process, which boots the machine, runs its user data once, serves the
// container runtime interface, keeps the kubelet running, and ends it all in
// order.
package machineos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/packetyard/packetyard/internal/machineos/console"
	"github.com/packetyard/packetyard/internal/machineos/control"
	"github.com/packetyard/packetyard/internal/machineos/cri"
	"github.com/packetyard/packetyard/internal/machineos/kubelet"
	"github.com/packetyard/packetyard/internal/machineos/metadata"
	"github.com/packetyard/packetyard/internal/machineos/podnetwork"
	"github.com/packetyard/packetyard/internal/machineos/process"
	"github.com/packetyard/packetyard/internal/machineos/units"
)

// Exit codes of the first process, which tell the hardware what to do next.
const (
	ExitPowerOff = 0
	ExitFailed   = 1
	ExitReboot   = 100
)

// ImageDirectory is where a machine sees its machine image.
const ImageDirectory = "/opt/packetyard"

// uplink is the machine's interface to the switch.
const uplink = "bond0"

// The machine's own directories and sockets.
const (
	stateDirectory   = "/var/lib/packetyard"
	runtimeSocket    = "/run/containerd/containerd.sock"
	oldRuntimeSocket = "/var/run/containerd/containerd.sock"
)

// rangePatience is how long pods wait for their node's range of addresses.
// kube-controller-manager takes a second or two, on a busy host some more.
const rangePatience = 15 * time.Second

// How long each kind of process gets to end when the machine does. User data
// and the kubelet end side by side, the rest one after the other, and all of
// it has to fit into the 10 s that the rack grants.
const (
	userDataGrace  = 3 * time.Second
	containerGrace = 3 * time.Second
	strayGrace     = 500 * time.Millisecond
)

// Options are what the machine is started with.
type Options struct {
	// Root is the machine's root directory, / in a machine.
	Root string
	// MetadataURL is the metadata service's, for example http://192.80.8.124.
	MetadataURL string
	// Console is the serial line.
	Console io.Writer
	// Environment is that of all that runs in the machine.
	Environment []string
	// Rescue boots a machine that does nothing but wait for somebody to look at
	// it: no user data, no containers, and nobody is told that it is up.
	Rescue bool
	Now    func() time.Time
}

// Machine is a booted machine.
type Machine struct {
	options  Options
	console  *console.Console
	reaper   *process.Reaper
	kubelet  *kubelet.Supervisor
	runtime  *cri.Server
	metadata *metadata.Client
	units    *units.Manager
	state    userDataState
	// unitsBooted is done when the enabled units have been started.
	unitsBooted sync.Once
	// userData is none, running, succeeded or failed.
	userData atomic.Value
	booted   time.Time
	// end receives the exit code that someone asked for.
	end chan int
}

// New returns a machine that is not booted yet.
func New(options Options) *Machine {
	m := &Machine{
		options: options,
		console: console.New(options.Console, options.Now),
		reaper:  process.NewReaper(),
		booted:  options.Now(),
		end:     make(chan int, 1),
		state:   userDataState{file: filepath.Join(options.Root, stateDirectory, "user-data.json")},
	}
	m.userData.Store("none")
	m.metadata = metadata.New(options.MetadataURL, func(format string, args ...any) { m.console.Printf(format, args...) })
	m.kubelet = kubelet.New(kubelet.Config{
		Root: options.Root, Reaper: m.reaper, Now: options.Now, Printf: m.console.Printf, PollInterval: 500 * time.Millisecond,
	})
	return m
}

// Run boots the machine and returns its exit code when it has ended. A signal
// asks for the end: SIGTERM and SIGPWR for power off, SIGINT for a reboot.
func (m *Machine) Run(signals <-chan os.Signal) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go m.reaper.Run(ctx)

	// User data and the kubelet end before what they rely on.
	working, stopWorking := context.WithCancelCause(ctx)
	defer stopWorking(nil)
	work, err := m.boot(ctx, working)
	code := ExitFailed
	if err != nil {
		m.console.Printf("boot failed: %v", err)
	} else {
		code = m.awaitEnd(signals)
	}
	m.console.Printf("ending: %s", map[int]string{ExitPowerOff: "power off", ExitReboot: "reboot", ExitFailed: "failed"}[code])
	stopWorking(errors.New("the machine is ending"))
	work.Wait()
	if m.runtime != nil {
		m.runtime.Shutdown(containerGrace)
	}
	m.endStrays()
	m.console.Printf("ended")
	return code
}

func (m *Machine) awaitEnd(signals <-chan os.Signal) int {
	select {
	case code := <-m.end:
		return code
	case received := <-signals:
		if received == syscall.SIGINT {
			return ExitReboot
		}
		return ExitPowerOff
	}
}

// ask asks for the machine's end.
func (m *Machine) ask(code int) func() {
	return func() {
		select {
		case m.end <- code:
		default:
			// Someone has asked before.
		}
	}
}

// boot starts all that runs on a machine. The group is what ends with working.
func (m *Machine) boot(ctx, working context.Context) (*sync.WaitGroup, error) {
	work := &sync.WaitGroup{}
	hostname, err := os.Hostname()
	if err != nil {
		return work, fmt.Errorf("reading the host name: %w", err)
	}
	m.console.Printf("packetyard machine %s is booting", hostname)
	if err := prepareFiles(); err != nil {
		return work, err
	}
	if m.options.Rescue {
		m.console.Printf("rescue system: the machine's disk is at /mnt/disk, and its user data does not run")
		return work, m.serveControl(ctx)
	}
	m.units = m.newUnits(working)
	if err := m.serveRuntime(ctx); err != nil {
		return work, err
	}
	if err := m.serveControl(ctx); err != nil {
		return work, err
	}
	work.Go(func() { m.kubelet.Run(working) })
	work.Go(func() {
		m.setUp(working)
		m.units.Wait()
	})
	return work, nil
}

func (m *Machine) serveRuntime(ctx context.Context) error {
	network, err := podnetwork.Open(uplink, machineAddress)
	if err != nil {
		m.console.Printf("pods have the machine's network, because they can have none of their own: %v", err)
	}
	server, err := cri.New(cri.Config{
		Reaper: m.reaper, ImageDirectory: ImageDirectory, StateDirectory: filepath.Join(stateDirectory, "containers"),
		Address: machineAddress, Network: network, RangePatience: rangePatience,
		Now: m.options.Now, Warn: m.console.Printf,
	})
	if err != nil {
		return fmt.Errorf("starting the container runtime: %w", err)
	}
	listener, err := control.Listen(ctx, runtimeSocket)
	if err != nil {
		return err
	}
	if err := linkOldSocket(); err != nil {
		return err
	}
	m.runtime = server
	go func() {
		if err := server.Serve(ctx, listener); err != nil {
			m.console.Printf("container runtime: %v", err)
			m.ask(ExitFailed)()
		}
	}()
	m.console.Printf("container runtime listens on %s", runtimeSocket)
	return nil
}

func (m *Machine) serveControl(ctx context.Context) error {
	listener, err := control.Listen(ctx, control.Socket)
	if err != nil {
		return err
	}
	server := &control.Server{
		Reaper: m.reaper, Kubelet: kubeletService{m.kubelet, m.units}, Units: m.ownersUnits(), Env: m.options.Environment, Directory: "/root",
		PowerOff: m.ask(ExitPowerOff), Reboot: m.ask(ExitReboot),
		Status: func() control.Status {
			return control.Status{
				Kubelet: kubeletService{m.kubelet, m.units}.Status(), UserData: m.userData.Load().(string),
				Uptime: m.options.Now().Sub(m.booted).Round(time.Second).String(),
			}
		},
	}
	go func() {
		if err := server.Serve(ctx, listener); err != nil {
			m.console.Printf("control: %v", err)
		}
	}()
	return nil
}

// endStrays ends what nobody supervised.
func (m *Machine) endStrays() {
	if os.Getpid() != 1 {
		// Elsewhere this would end the processes of others.
		return
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		deadline := time.NewTimer(strayGrace)
		tick := time.NewTicker(20 * time.Millisecond)
		err := syscall.Kill(-1, sig)
		for waiting := true; waiting && err == nil; {
			select {
			case <-tick.C:
				// The reaper collects them; none is left when nobody can be signalled.
				err = syscall.Kill(-1, 0)
			case <-deadline.C:
				waiting = false
			}
		}
		deadline.Stop()
		tick.Stop()
		if err != nil {
			return
		}
	}
}

// machineAddress is the machine's primary private address, or another where
// it has none.
func machineAddress() string {
	var addresses []net.Addr
	if bond, err := net.InterfaceByName(uplink); err == nil {
		addresses, _ = bond.Addrs()
	} else {
		addresses, _ = net.InterfaceAddrs()
	}
	chosen := ""
	for _, address := range addresses {
		network, ok := address.(*net.IPNet)
		if !ok || network.IP.To4() == nil || !network.IP.IsGlobalUnicast() {
			continue
		}
		if network.IP.To4()[0] == 10 {
			return network.IP.String()
		}
		if chosen == "" {
			chosen = network.IP.String()
		}
	}
	if chosen == "" {
		return "127.0.0.1"
	}
	return chosen
}
