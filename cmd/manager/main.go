// Command manager makes Kubernetes clusters out of Packet devices: Cluster API's core controllers, the kubeadm bootstrap
// and control plane providers and the Packet infrastructure provider in one process.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsv1 "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register" // --logging-format=json
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/packetyard/packetyard/internal/capi/manager"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "manager: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	var options manager.Options
	logOptions := logs.NewOptions()
	flags := pflag.CommandLine
	logsv1.AddFlags(logOptions, flags)
	options.AddFlags(flags)
	flags.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	flags.AddGoFlagSet(flag.CommandLine)
	// Level 2 is what Cluster API's controllers expect to be seen.
	if err := flags.Set("v", "2"); err != nil {
		return fmt.Errorf("setting the default log level: %w", err)
	}
	if namespace := os.Getenv("POD_NAMESPACE"); namespace != "" {
		if err := flags.Set("pod-namespace", namespace); err != nil {
			return fmt.Errorf("reading POD_NAMESPACE: %w", err)
		}
	}
	pflag.Parse()
	if err := logsv1.ValidateAndApply(logOptions, nil); err != nil {
		return fmt.Errorf("reading the logging flags: %w", err)
	}
	ctrl.SetLogger(klog.Background())

	restConfig, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	ctx := ctrl.SetupSignalHandler()
	m, err := manager.New(ctx, restConfig, options)
	if err != nil {
		return err
	}
	return m.Start(ctx)
}
