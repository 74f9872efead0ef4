// Package apiserver is the machine's kube-apiserver: Kubernetes' own, unmodified.
package apiserver

import (
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // The JSON log format, as in the component's own binary.
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // Client metrics, as in the component's own binary.
	_ "k8s.io/component-base/metrics/prometheus/version"  // The version metric, as in the component's own binary.
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// Main runs kube-apiserver with the arguments in os.Args, and returns its exit code.
func Main([]string) int {
	return cli.Run(app.NewAPIServerCommand())
}
