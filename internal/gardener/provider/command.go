// Package provider is the program gardener-extension-provider-packet: its flags, and what it runs.
package provider

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	extensionscmdcontroller "github.com/gardener/gardener/extensions/pkg/controller/cmd"
	"github.com/gardener/gardener/extensions/pkg/controller/controlplane/genericactuator"
	heartbeatcmd "github.com/gardener/gardener/extensions/pkg/controller/heartbeat/cmd"
	extensionscmdwebhook "github.com/gardener/gardener/extensions/pkg/webhook/cmd"

	configv1alpha1 "github.com/packetyard/packetyard/api/config/v1alpha1"
	"github.com/packetyard/packetyard/internal/gardener/account"
)

// concurrency is how many resources of a kind are reconciled at a time unless a flag says otherwise.
const concurrency = 5

// program is what flags say, and what is made of it.
type program struct {
	// version is that of this program, and the tag of the images of ours that it deploys.
	version    string
	configFile string
	config     *configv1alpha1.ControllerConfiguration

	rest       *extensionscmdcontroller.RESTOptions
	manager    *extensionscmdcontroller.ManagerOptions
	general    *extensionscmdcontroller.GeneralOptions
	reconciler *extensionscmdcontroller.ReconcilerOptions
	heartbeat  *heartbeatcmd.Options

	bastion, controlPlane, health, infrastructure, worker *extensionscmdcontroller.ControllerOptions

	controllers *extensionscmdcontroller.SwitchOptions
	webhooks    *extensionscmdwebhook.AddToManagerOptions

	// run is what controllers and webhooks have in common once the manager exists.
	run running
}

// NewCommand is the command of the program, of some version. It runs until the context ends.
func NewCommand(ctx context.Context, version string) *cobra.Command {
	p := &program{
		version: version,
		rest:    &extensionscmdcontroller.RESTOptions{},
		manager: &extensionscmdcontroller.ManagerOptions{
			LeaderElection:          true,
			LeaderElectionID:        extensionscmdcontroller.LeaderElectionNameID(account.Name),
			LeaderElectionNamespace: os.Getenv("LEADER_ELECTION_NAMESPACE"),
			WebhookServerPort:       10250,
			WebhookCertDir:          "/tmp/gardener-extensions-cert",
			MetricsBindAddress:      ":8080",
			HealthBindAddress:       ":8081",
		},
		general:    &extensionscmdcontroller.GeneralOptions{},
		reconciler: &extensionscmdcontroller.ReconcilerOptions{},
		heartbeat: &heartbeatcmd.Options{
			ExtensionName: account.Name, RenewIntervalSeconds: 30, Namespace: os.Getenv("LEADER_ELECTION_NAMESPACE"),
		},
	}
	for _, options := range []**extensionscmdcontroller.ControllerOptions{&p.bastion, &p.controlPlane, &p.health, &p.infrastructure, &p.worker} {
		*options = &extensionscmdcontroller.ControllerOptions{MaxConcurrentReconciles: concurrency}
	}
	p.controllers = p.controllerSwitches()
	p.webhooks = extensionscmdwebhook.NewAddToManagerOptions(
		account.Name, genericactuator.ShootWebhooksResourceName, genericactuator.ShootWebhookNamespaceSelector(account.Type), p.general,
		&extensionscmdwebhook.ServerOptions{Namespace: os.Getenv("WEBHOOK_CONFIG_NAMESPACE")}, p.webhookSwitches(),
	)
	options := extensionscmdcontroller.NewOptionAggregator(
		// The file is first, because a mistake in it is said without any cluster.
		(*fileOption)(p), p.rest, p.manager, p.general,
		extensionscmdcontroller.PrefixOption("bastion-", p.bastion),
		extensionscmdcontroller.PrefixOption("controlplane-", p.controlPlane),
		extensionscmdcontroller.PrefixOption("healthcheck-", p.health),
		extensionscmdcontroller.PrefixOption("infrastructure-", p.infrastructure),
		extensionscmdcontroller.PrefixOption("worker-", p.worker),
		extensionscmdcontroller.PrefixOption("heartbeat-", p.heartbeat),
		p.controllers, p.reconciler, p.webhooks,
	)
	command := &cobra.Command{
		Use:   "gardener-extension-provider-packet",
		Short: "The Gardener extension for shoots on Packet",
		Long: `gardener-extension-provider-packet runs on a seed. It reconciles the Infrastructures, ControlPlanes, Workers and
Bastions of type packet that gardenlet makes there, and changes what gardenlet deploys for their shoots, by webhooks.

A pod of its chart runs it; gardenlet deploys the chart from example/controller-registration.yaml. Away from a pod,
` + "`make start`" + ` runs it with the flags that this needs, and KUBECONFIG says which cluster is the seed.`,
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error {
			if err := options.Complete(); err != nil {
				return fmt.Errorf("reading the flags: %w", err)
			}
			if err := p.heartbeat.Validate(); err != nil {
				return fmt.Errorf("reading the flags: %w", err)
			}
			mgr, err := p.newManager(ctx)
			if err != nil {
				return err
			}
			if err := mgr.Start(ctx); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("running the controllers: %w", err)
			}
			return nil
		},
	}
	options.AddFlags(command.Flags())
	return command
}

// fileOption is --config-file.
type fileOption program

// AddFlags implements Option.
func (f *fileOption) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.configFile, "config-file", f.configFile, "The file with the extension's configuration, such as example/00-componentconfig.yaml. Without it, all is as the documentation says of what is left out.")
}

// Complete implements Option.
func (f *fileOption) Complete() (err error) {
	f.config, err = readConfig(f.configFile)
	return err
}
