// Package scheduler is the machine's kube-scheduler: Kubernetes' own, unmodified.
package scheduler

import (
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // The JSON log format, as in the component's own binary.
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // Client metrics, as in the component's own binary.
	_ "k8s.io/component-base/metrics/prometheus/version"  // The version metric, as in the component's own binary.
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// Main runs kube-scheduler with the arguments in os.Args, and returns its exit code.
func Main([]string) int {
	return cli.Run(app.NewSchedulerCommand())
}

// Defaults are the flags that differ from upstream's defaults on a machine: the
// first attempt to become the leader often comes before the API server has its
// roles, and the next one need not wait for two seconds or four.
func Defaults() []string {
	return []string{"--leader-elect-retry-period=1s"}
}
