// Package kubectl is the machine's kubectl: Kubernetes' own, unmodified.
package kubectl

import (
	"flag"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // Credential plugins that kubeconfig files may name.
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

// Main runs kubectl with the given arguments, of which the first is its name,
// and returns its exit code. kubectl exits by itself on a failed command.
func Main(args []string) int {
	// Other programs in this binary have registered Go flags at start, and
	// kubectl would offer them as its own.
	flag.CommandLine = flag.NewFlagSet(args[0], flag.ExitOnError)
	// kubectl logs while it builds its commands (plugins, kuberc), which is
	// before it parses flags; so the verbosity has to be found beforehand. A
	// value that is not a number is reported by the real parser later.
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(args))
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
	return 0
}
