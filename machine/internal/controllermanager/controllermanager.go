// Package controllermanager is the machine's kube-controller-manager: Kubernetes' own, unmodified.
package controllermanager

import (
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // The JSON log format, as in the component's own binary.
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // Client metrics, as in the component's own binary.
	_ "k8s.io/component-base/metrics/prometheus/version"  // The version metric, as in the component's own binary.
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

// Main runs kube-controller-manager with the arguments in os.Args, and returns its exit code.
func Main([]string) int {
	return cli.Run(app.NewControllerManagerCommand())
}

// Defaults are the flags that differ from upstream's defaults on a machine. All
// of them shorten the start of a cluster, which has one control plane at first:
//
//   - every controller makes its client first, and with the usual limits that
//     alone takes five seconds;
//   - the first attempt to become the leader often comes before the API server
//     has its roles, and the next one need not wait that long. (It is also how often the
//     lease is renewed, so much less would cost more than it gains.)
func Defaults() []string {
	return []string{
		"--kube-api-qps=200",
		"--kube-api-burst=400",
		"--leader-elect-retry-period=1s",
	}
}
