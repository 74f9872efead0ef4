// Command packetyard brings up the whole stack on one machine: the Packet API
// with machines that boot, and on them a Kubernetes cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/packetyard/packetyard/internal/yard/statedir"
)

func main() {
	// The Kubernetes libraries would write their own lines between ours.
	klog.SetLogger(logr.Discard())
	ctrllog.SetLogger(logr.Discard())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// exitCode is an error that has been told already, or needs no telling.
type exitCode int

// Error implements error.
func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// interruptedCode is what a shell returns for a program that Ctrl-C ended.
const interruptedCode = 130

// run is the program: it returns its exit code.
func run(ctx context.Context, arguments []string, in io.Reader, out, problems io.Writer) int {
	root := newRoot()
	root.SetArgs(arguments)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(problems)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintf(problems, "packetyard: %v\n", err)
	if errors.Is(err, context.Canceled) {
		return interruptedCode
	}
	return 1
}

// settings are the flags that all commands share.
type settings struct {
	stateDir string
}

// path is the state directory's path, which need not exist.
func (s *settings) path() (string, error) {
	if s.stateDir != "" {
		return s.stateDir, nil
	}
	return statedir.DefaultPath(os.Getenv)
}

// open opens the state directory of a yard that is there.
func (s *settings) open() (statedir.Dir, error) {
	path, err := s.path()
	if err != nil {
		return statedir.Dir{}, err
	}
	dir, err := statedir.Open(path)
	if errors.Is(err, statedir.ErrNoYard) {
		return statedir.Dir{}, fmt.Errorf("%w: `packetyard up` makes one, and --state-dir or %s names another place", err, statedir.Environment)
	}
	return dir, err
}

func newRoot() *cobra.Command {
	shared := &settings{}
	root := &cobra.Command{
		Use:   "packetyard",
		Short: "A Packet API with machines that boot, and a Kubernetes cluster on them",
		Long: `packetyard runs the whole Packet Kubernetes stack on this machine: an API server
that rents out machines (sets of Linux namespaces, no root or Docker needed), a
bootstrap cluster with the Cluster API provider, and a cluster that it makes.

Everything is kept in one directory, and "packetyard down" leaves nothing behind.`,
		Example: `  packetyard up                         # a control plane and two workers
  packetyard status                     # devices, machines and nodes
  export KUBECONFIG=$(packetyard kubeconfig --path)
  kubectl get nodes
  packetyard exec -- ls /etc/kubernetes # a command in the control plane's machine
  packetyard down`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	root.PersistentFlags().StringVar(&shared.stateDir, "state-dir", "",
		"directory that everything is kept in (default $"+statedir.Environment+", else packetyard below $XDG_STATE_HOME or ~/.local/state)")
	root.AddCommand(
		newUp(shared), newStatus(shared), newKubeconfig(shared), newExec(shared), newConsole(shared), newDown(shared), newSupervise(shared),
	)
	return root
}
