package yard

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/yard/clusterfile"
	"github.com/packetyard/packetyard/internal/yard/host"
	"github.com/packetyard/packetyard/internal/yard/progress"
	"github.com/packetyard/packetyard/internal/yard/statedir"
	"github.com/packetyard/packetyard/internal/yard/supervisor"
	"github.com/packetyard/packetyard/pkg/packet"
)

// UpOptions is what a user asks `up` for.
type UpOptions struct {
	// StateDir is the path of the state directory.
	StateDir string
	// Command is how the user calls this program again, for hints.
	Command string
	// Executable is this program's path, and Image the machine image's, or
	// empty for the one beside the program.
	Executable string
	Image      string
	// ClusterFile is the name of the cluster file and ClusterYAML what is in it.
	ClusterFile string
	ClusterYAML []byte
	// ControlPlanes and Workers override the file where they are not nil.
	ControlPlanes *int
	Workers       *int
	// Timeout bounds the whole command.
	Timeout time.Duration
	// Profile is the speed of the Packet API's devices.
	Profile string
	// APISettings are settings of the Packet API server, as its flag --config
	// takes them, and nil for none.
	APISettings []byte
}

// Result is what `up` made.
type Result struct {
	Dir statedir.Dir
	// Cluster is the workload cluster's name, and Kubeconfig the path of its
	// kubeconfig.
	Cluster    string
	Kubeconfig string
	Status     *Status
	Timings    []progress.Timing

	kube, command string
}

// up is one run of `packetyard up`.
type up struct {
	options  UpOptions
	printer  *progress.Printer
	scheme   *runtime.Scheme
	file     *clusterfile.File
	programs Programs
	dir      statedir.Dir

	api       *api
	bootstrap client.Client
	workload  *workload
	view      *clusterView
}

// errTimeout is the cause of the end of a context that took too long.
var errTimeout = errors.New("time-out")

// Up makes a yard and a cluster in it, or goes on where the last Up stopped.
func Up(ctx context.Context, options UpOptions, printer *progress.Printer) (*Result, error) {
	scheme, err := clusterfile.NewScheme()
	if err != nil {
		return nil, err
	}
	u := &up{options: options, printer: printer, scheme: scheme}
	ctx, cancel := context.WithTimeoutCause(ctx, options.Timeout, errTimeout)
	defer cancel()

	// Nothing is made before the file and the host were found good.
	if err := u.step(ctx, "Check the cluster file", u.checkFile); err != nil {
		return nil, err
	}
	if err := u.step(ctx, "Check the host", u.checkHost); err != nil {
		return nil, err
	}
	if u.dir, err = statedir.Create(options.StateDir); err != nil {
		return nil, err
	}
	lock, err := lockCommands(u.dir)
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()

	for _, step := range []struct {
		name string
		run  func(context.Context, *progress.Step) error
	}{
		{"Start the Packet API", u.startAPI},
		{"Boot the bootstrap machine", u.bootBootstrap},
		{"Install the Cluster API provider", u.installProvider},
		{"Create cluster " + u.file.Cluster.Name, u.createCluster},
		{"Wait for its nodes", u.waitForNodes},
		{"Write its kubeconfig", u.writeKubeconfig},
	} {
		if err := u.step(ctx, step.name, step.run); err != nil {
			return nil, err
		}
	}
	return u.result(ctx), nil
}

// step runs a step and says, where it was not its own error that ended it,
// what it was at and how to go on.
func (u *up) step(ctx context.Context, name string, run func(context.Context, *progress.Step) error) error {
	return u.printer.Do(name, func(step *progress.Step) error {
		err := run(ctx, step)
		if err == nil || ctx.Err() == nil {
			return err
		}
		at := ""
		if last := step.Last(); last != "" {
			at = "; it was waiting for: " + last
		}
		if errors.Is(context.Cause(ctx), errTimeout) {
			return fmt.Errorf("not done within %s (--timeout), at the step %q%s\nWhat was made is kept: look at it with `%[4]s status`, and `%[4]s up` goes on", u.options.Timeout, name, at, u.options.Command)
		}
		return interruptedError{step: name, command: u.options.Command}
	})
}

// interruptedError says that the user ended `up` in the middle.
type interruptedError struct{ step, command string }

// Error implements error.
func (e interruptedError) Error() string {
	return fmt.Sprintf("interrupted at the step %q\nWhat was made is kept: `%[2]s up` goes on, and `%[2]s down` removes it", e.step, e.command)
}

// Unwrap makes it known for what it is.
func (e interruptedError) Unwrap() error { return context.Canceled }

// lockCommands keeps two commands that change the yard from running at once.
func lockCommands(dir statedir.Dir) (*statedir.Lock, error) {
	lock, err := statedir.TryLock(dir.CommandLock())
	var locked *statedir.LockedError
	if errors.As(err, &locked) {
		return nil, fmt.Errorf("another `packetyard up` or `packetyard down` works on %s (process %d): wait for it, or end it first", dir.Path(), locked.PID)
	}
	return lock, err
}

func (u *up) checkFile(_ context.Context, step *progress.Step) error {
	file, err := clusterfile.Parse(u.options.ClusterFile, u.options.ClusterYAML, u.scheme)
	if err != nil {
		return fmt.Errorf("%w\nNothing was created", err)
	}
	var problems []error
	if u.options.ControlPlanes != nil {
		problems = append(problems, file.OverrideControlPlanes(*u.options.ControlPlanes))
	}
	if u.options.Workers != nil {
		problems = append(problems, file.OverrideWorkers(*u.options.Workers))
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	u.file = file
	step.Result("cluster %s with %s", file.Cluster.Name, machineCounts(file))
	return nil
}

func machineCounts(file *clusterfile.File) string {
	return fmt.Sprintf("%d control plane and %d workers", file.ControlPlanes(), file.Workers())
}

// checkHost finds out what is wrong before anything is made, and tells all of
// it at once.
func (u *up) checkHost(ctx context.Context, _ *progress.Step) error {
	programs, programsErr := FindPrograms(u.options.Executable, u.options.Image)
	u.programs = programs
	problems := []error{programsErr}
	// What a yard that runs already needs, it has. The API server is what
	// tries the host out, so it has to be there.
	if programsErr == nil && !running(u.options.StateDir) {
		problems = append(problems, host.Check(ctx, host.NeedsOf(u.file.ControlPlanes(), u.file.Workers()), u.options.StateDir, programs.APIServer))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("this host cannot run the yard as it is:\n%w", err)
	}
	return nil
}

func running(path string) bool {
	dir, err := statedir.Open(path)
	if err != nil {
		return false
	}
	_, alive, err := supervisor.ReadReport(dir)
	return err == nil && alive
}

func (u *up) startAPI(ctx context.Context, step *progress.Step) error {
	var arguments []string
	if u.options.Profile != "" {
		arguments = append(arguments, "--profile", u.options.Profile)
	}
	// A copy stays with the yard, because the server may start again long after
	// this command.
	if u.options.APISettings != nil && !running(u.dir.Path()) {
		if err := statedir.WriteFile(u.dir.APIServerSettings(), u.options.APISettings); err != nil {
			return err
		}
	}
	if _, err := startSupervisor(ctx, u.dir, u.programs, arguments...); err != nil {
		return err
	}
	ready, err := waitForAPI(ctx, u.dir, step.Detail)
	if err != nil {
		return err
	}
	u.api = ready
	step.Result("%s", ready.credentials.APIURL)
	return nil
}

// bootBootstrap waits until the bootstrap machine's API server takes orders,
// which it does some seconds before kubeadm is done with all else.
func (u *up) bootBootstrap(ctx context.Context, step *progress.Step) error {
	report, _, err := supervisor.ReadReport(u.dir)
	if err != nil {
		return err
	}
	u.workload = &workload{scheme: u.scheme, proxyURL: report.ProxyURL()}
	return poll(ctx, interval, func(ctx context.Context) (bool, error) {
		state, err := lookAtBootstrap(ctx, u.api)
		if err != nil {
			return false, hintConsole(err, u.options.Command)
		}
		step.Detail("%s", state.stage)
		if state.device == nil || state.device.State != packet.StateActive {
			return false, nil
		}
		err = u.reachBootstrap(ctx, state.device.ID)
		if err != nil && state.done && !passing(err) {
			return false, err
		}
		return err == nil, nil
	})
}

// reachBootstrap fetches the bootstrap cluster's kubeconfig, and shows that it
// works by giving the provider its credentials.
func (u *up) reachBootstrap(ctx context.Context, deviceID string) error {
	kubeconfig, err := adminKubeconfig(ctx, u.dir, deviceID)
	if err != nil {
		return err
	}
	if err := writeKubeconfig(u.dir.BootstrapKubeconfig(), kubeconfig, u.workload.proxyURL); err != nil {
		return err
	}
	if u.bootstrap, err = kubeClientAt(u.dir.BootstrapKubeconfig(), u.scheme); err != nil {
		return err
	}
	return applyCredentials(ctx, u.bootstrap, u.api.credentials)
}

// hintConsole says how to see all of a machine's console.
func hintConsole(err error, command string) error {
	var failed *MachineFailedError
	if !errors.As(err, &failed) {
		return err
	}
	return fmt.Errorf("%w\nAll of its console: %[3]s console %[2]s\nOnce the cause is mended, start afresh with `%[3]s down` and `%[3]s up`", err, failed.Name, command)
}

func (u *up) installProvider(ctx context.Context, step *progress.Step) error {
	step.Detail("kubectl apply -f provider-components.yaml")
	if err := installComponents(ctx, u.bootstrap, u.programs, u.dir.BootstrapKubeconfig()); err != nil {
		return err
	}
	return poll(ctx, interval, func(ctx context.Context) (bool, error) {
		// What kubeadm does last is the kube-proxy, without which the provider
		// does not reach its API server.
		if _, err := lookAtBootstrap(ctx, u.api); err != nil {
			return false, hintConsole(err, u.options.Command)
		}
		available, why, err := managerAvailable(ctx, u.bootstrap)
		if err != nil && !passing(err) {
			return false, err
		}
		if err != nil {
			why = err.Error()
		}
		step.Detail("%s", why)
		return available, nil
	})
}

func (u *up) createCluster(ctx context.Context, step *progress.Step) error {
	var kept []string
	var err error
	err = poll(ctx, interval, func(ctx context.Context) (bool, error) {
		kept, err = keepReplicas(ctx, u.bootstrap, u.file, u.options.ControlPlanes == nil, u.options.Workers == nil)
		if passing(err) {
			step.Detail("%v", err)
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return err
	}
	if len(kept) > 0 {
		step.Result("%s", strings.Join(kept, "; "))
	}
	return applyCluster(ctx, u.bootstrap, u.file, step.Detail)
}

func (u *up) waitForNodes(ctx context.Context, step *progress.Step) error {
	controlPlanes, workers := u.file.ControlPlanes(), u.file.Workers()
	key := client.ObjectKey{Namespace: u.file.Namespace(), Name: u.file.Cluster.Name}
	err := poll(ctx, interval, func(ctx context.Context) (bool, error) {
		view, err := look(ctx, u.bootstrap, u.workload, key)
		if err != nil {
			// The bootstrap cluster was there, so it will be again.
			step.Detail("%v", err)
			return false, nil
		}
		u.view = view
		if err := view.failure(); err != nil {
			return false, err
		}
		waiting := view.waitingFor(controlPlanes, workers)
		step.Detail("%s", strings.Join(waiting, "; "))
		return len(waiting) == 0, nil
	})
	if err != nil {
		return hintConsole(err, u.options.Command)
	}
	step.Result("%d of %d Ready", len(u.view.nodes), controlPlanes+workers)
	return nil
}

// clusterName is what the user calls the file's cluster.
func (u *up) clusterName() string { return clusterName(u.file.Namespace(), u.file.Cluster.Name) }

func (u *up) writeKubeconfig(context.Context, *progress.Step) error {
	return writeKubeconfig(u.dir.Kubeconfig(u.clusterName()), u.workload.kubeconfig, u.workload.proxyURL)
}

func (u *up) result(ctx context.Context) *Result {
	return &Result{
		Dir:        u.dir,
		Cluster:    u.clusterName(),
		Kubeconfig: u.dir.Kubeconfig(u.clusterName()),
		Status:     ReadStatus(ctx, u.dir),
		Timings:    u.printer.Timings(),
		kube:       u.programs.Kube(),
		command:    u.options.Command,
	}
}
