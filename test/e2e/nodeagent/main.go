//go:build e2e

// Command gardener-node-agent is Gardener's, with Gardener's own code for all that it does to a machine, except for the two
// neighbours that a simulated machine lacks: systemd is asked by systemctl and not by D-Bus, and files of container images come
// from the machine image and not from containerd.
//
//	gardener-node-agent bootstrap --config-dir=/var/lib/gardener-node-agent
//	gardener-node-agent --config-dir=/var/lib/gardener-node-agent
//
// Of its controllers, those are here that bring a machine into a Shoot and update it in place.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/afero"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-base/version"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	nodeagenthelper "github.com/gardener/gardener/pkg/api/config/nodeagent/v1alpha1/helper"
	nodeagentconfigv1alpha1 "github.com/gardener/gardener/pkg/apis/config/nodeagent/v1alpha1"
	"github.com/gardener/gardener/pkg/logger"
	"github.com/gardener/gardener/pkg/nodeagent"
	"github.com/gardener/gardener/pkg/nodeagent/bootstrap"
	"github.com/gardener/gardener/pkg/nodeagent/features"
)

// release is how the tests call the Gardener whose components they run.
const release = "v0.0.0-e2e"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	// Gardener's release is in the name of the agent's configuration file.
	if err := version.SetDynamicVersion(release); err != nil {
		panic(err)
	}
	log := logger.MustNewZapLogger(logger.InfoLevel, logger.FormatText)
	ctrllog.SetLogger(log)
	if err := execute(ctx, log, os.Args[1:]); err != nil {
		log.Error(err, "gardener-node-agent ends")
		os.Exit(1)
	}
}

// execute runs the subcommand bootstrap, or without one the agent until the context ends.
func execute(ctx context.Context, log logr.Logger, arguments []string) error {
	begins := len(arguments) > 0 && arguments[0] == "bootstrap"
	if begins {
		arguments = arguments[1:]
	}
	flags := flag.NewFlagSet("gardener-node-agent", flag.ContinueOnError)
	folder := flags.String("config-dir", nodeagentconfigv1alpha1.BaseDir, "folder of the configuration")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	features.RegisterFeatureGates()
	config, err := readConfig(*folder)
	if err != nil {
		return err
	}
	files := afero.Afero{Fs: afero.NewOsFs()}
	if begins {
		return bootstrap.Bootstrap(ctx, log, files, systemctl{}, config.Bootstrap)
	}
	return (&agent{log: log, files: files, config: config, folder: *folder}).run(ctx)
}

func readConfig(folder string) (*nodeagentconfigv1alpha1.NodeAgentConfiguration, error) {
	data, err := os.ReadFile(nodeagenthelper.GetConfigFilePath(folder))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	config := &nodeagentconfigv1alpha1.NodeAgentConfiguration{}
	if err := runtime.DecodeInto(nodeagent.Codec, data, config); err != nil {
		return nil, fmt.Errorf("decoding the configuration: %w", err)
	}
	return config, nil
}
