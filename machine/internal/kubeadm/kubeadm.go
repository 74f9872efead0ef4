// Package kubeadm is the machine's kubeadm: Kubernetes' own. The one difference
// is that init and join take the simulated hardware for granted: the preflight
// checks of what a simulated machine cannot have warn instead of failing.
package kubeadm

import (
	"flag"
	"fmt"
	"os"

	"k8s.io/kubernetes/cmd/kubeadm/app"
	kubeadmerrors "k8s.io/kubernetes/cmd/kubeadm/app/util/errors"
)

// Main runs kubeadm with the given arguments, of which the first is its name,
// and returns its exit code.
func Main(args []string) int {
	args, err := withPreflight(args, os.ReadFile)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubeadm:", err)
		return 1
	}
	os.Args = args
	// Other programs in this binary have registered Go flags at start, and
	// kubeadm would offer them as its own.
	flag.CommandLine = flag.NewFlagSet(args[0], flag.ExitOnError)
	// HandleError exits with the code that belongs to the error.
	kubeadmerrors.HandleError(app.Run())
	return 0
}
