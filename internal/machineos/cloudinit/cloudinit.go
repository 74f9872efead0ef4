// Package cloudinit executes a machine's user data as cloud-init does:
// cloud-config, scripts, and archives of several parts.
//
// Order, defaults and the treatment of errors follow cloud-init: a part that
// fails is reported and the others still run. What a simulated machine cannot
// do (disks, time, other users' files) is accepted with a warning, so that
// user data written for real machines works unchanged.
package cloudinit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// sentinel is made by the Cluster API's kubeadm user data when, and only
// when, kubeadm succeeded.
const sentinel = "/run/cluster-api/bootstrap-success.complete"

// logFile has the output of all that user data runs.
const logFile = "/var/log/cloud-init-output.log"

// scriptDirectory holds the scripts of an instance.
const scriptDirectory = "/var/lib/cloud/instance/scripts"

// Instance is what the machine knows of itself.
type Instance struct {
	ID       string
	Hostname string
	Metro    string
	Facility string
	// SSHKeys may log in as root.
	SSHKeys []string
}

// Executor runs user data.
type Executor struct {
	// Root is the directory that files are written below, / in a machine.
	Root string
	// Instance fills in templates.
	Instance Instance
	// Run runs a command and returns an error where it does not end with 0.
	// The command's output goes to Output, and the rest is Run's to set.
	Run func(ctx context.Context, cmd *exec.Cmd, output io.Writer) error
	// Install installs packages, each named as in apt's command line. Without it
	// they are taken as installed.
	Install func(ctx context.Context, packages []string, output io.Writer) error
	// SetHostname names the running machine.
	SetHostname func(name string) error
	// Output gets the commands' output, as the console does.
	Output io.Writer
	// Printf writes a line to the console.
	Printf func(format string, args ...any)
}

// work is one run of an Executor.
type work struct {
	*Executor
	output io.Writer
	// failures are what went wrong without ending the rest.
	failures []error
	config   cloudConfig
	boothook int
	scripts  []script
}

type script struct {
	name    string
	content []byte
}

func (w *work) fail(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	w.failures = append(w.failures, err)
	w.Printf("cloud-init: %v", err)
}

func (w *work) warn(format string, args ...any) {
	w.Printf("cloud-init: warning: "+format, args...)
}

// Execute runs the user data. The error tells all that failed.
func (e *Executor) Execute(ctx context.Context, userData []byte) error {
	log, err := e.openLog()
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	w := &work{Executor: e, output: io.MultiWriter(log, e.Output)}
	// A sentinel of an earlier try would hide a failure.
	_ = os.Remove(w.path(sentinel))

	parts, err := parse(userData, w.templateData())
	if err != nil {
		return err
	}
	expectSentinel := false
	for _, one := range parts {
		expectSentinel = expectSentinel || strings.Contains(string(one.content), sentinel)
		w.take(ctx, one)
	}
	w.apply(ctx)
	if ctx.Err() != nil {
		return fmt.Errorf("user data was interrupted: %w", context.Cause(ctx))
	}
	if _, err := os.Stat(w.path(sentinel)); expectSentinel && err != nil {
		w.fail("kubeadm did not succeed: %s is missing", sentinel)
	}
	return errors.Join(w.failures...)
}

func (e *Executor) openLog() (*os.File, error) {
	name := filepath.Join(e.Root, logFile)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, fmt.Errorf("making the log's directory: %w", err)
	}
	log, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("opening the log of user data: %w", err)
	}
	return log, nil
}

// path is where a file of the machine lies.
func (w *work) path(name string) string { return filepath.Join(w.Root, name) }

// take sorts a part into what is to be done.
func (w *work) take(ctx context.Context, one part) {
	switch one.kind {
	case kindCloudConfig:
		warning, err := w.config.merge(one.content)
		if err != nil {
			w.fail("cloud-config %s: %w", one.name, err)
		} else if warning != "" {
			w.warn("cloud-config %s: %s", one.name, warning)
		}
	case kindScript:
		w.scripts = append(w.scripts, script{one.name, one.content})
	case kindBoothook:
		// A boothook runs as soon as it is seen.
		w.boothook++
		w.runScript(ctx, script{fmt.Sprintf("boothook-%03d", w.boothook), one.content})
	case kindIgnition:
		w.fail("the user data is an Ignition document, which this machine does not support yet: use cloud-config or a script")
	default:
		w.fail("user data part %s is of a type that is not supported (%s): use #cloud-config or #!", one.name, one.kind)
	}
}

// apply does what the parts ask for, in cloud-init's order of modules.
func (w *work) apply(ctx context.Context) {
	c := &w.config
	for _, warning := range c.check() {
		w.warn("%s", warning)
	}
	w.bootCommands(ctx, c)
	w.writeFiles(c, false)
	w.setHostname(c)
	w.makeUsers(c)
	w.authorizeKeys(c)
	w.prepareRunCommands(c)
	w.addRepositories(c)
	w.installPackages(ctx, c)
	w.writeFiles(c, true)
	// Scripts run in the order of their names, whichever part they came from.
	w.runScripts(ctx)
}
