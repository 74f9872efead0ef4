// Package kubelet is the machine's kubelet: Kubernetes' own, with its own flags,
// configuration file, TLS bootstrap, certificates, server, static pods and pod
// workers. What is simulated is the hardware beneath it: a machine is a set of
// namespaces without cgroups, kernel log, block devices or a second user, so the
// parts of the kubelet that manage those are given stand-ins.
package kubelet

import (
	"context"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // The JSON log format, as in the kubelet's own binary.
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // Client metrics, as in the kubelet's own binary.
	_ "k8s.io/component-base/metrics/prometheus/version"  // The version metric, as in the kubelet's own binary.
)

// Main runs the kubelet with the arguments in os.Args, and returns its exit code.
func Main([]string) int {
	return cli.Run(newCommand(context.Background()))
}
