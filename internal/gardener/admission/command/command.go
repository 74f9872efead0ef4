// Package command is the program gardener-extension-admission-packet: its flags, and what it runs.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	componentbaseconfigv1alpha1 "k8s.io/component-base/config/v1alpha1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	extensionscmdcontroller "github.com/gardener/gardener/extensions/pkg/controller/cmd"
	"github.com/gardener/gardener/extensions/pkg/util"
	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	extensionscmdwebhook "github.com/gardener/gardener/extensions/pkg/webhook/cmd"
	gardencoreinstall "github.com/gardener/gardener/pkg/apis/core/install"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	securityinstall "github.com/gardener/gardener/pkg/apis/security/install"
	gardenerhealthz "github.com/gardener/gardener/pkg/healthz"

	"github.com/packetyard/packetyard/internal/gardener/admission/mutator"
	"github.com/packetyard/packetyard/internal/gardener/admission/validator"
)

// Name is that of the admission component.
const Name = "admission-packet"

// program is what flags say.
type program struct {
	rest     *extensionscmdcontroller.RESTOptions
	manager  *extensionscmdcontroller.ManagerOptions
	webhooks *extensionscmdwebhook.AddToManagerOptions
}

// New is the command of the program, of some version. It runs until the context ends.
func New(ctx context.Context, version string) *cobra.Command {
	p := &program{
		rest: &extensionscmdcontroller.RESTOptions{},
		manager: &extensionscmdcontroller.ManagerOptions{
			LeaderElection:          true,
			LeaderElectionID:        extensionscmdcontroller.LeaderElectionNameID(Name),
			LeaderElectionNamespace: os.Getenv("LEADER_ELECTION_NAMESPACE"),
			WebhookServerPort:       10250,
			WebhookCertDir:          "/tmp/admission-packet-cert",
			MetricsBindAddress:      ":8080",
			HealthBindAddress:       ":8081",
		},
	}
	p.webhooks = extensionscmdwebhook.NewAddToManagerOptions(Name, "", nil, nil,
		&extensionscmdwebhook.ServerOptions{Namespace: os.Getenv("WEBHOOK_CONFIG_NAMESPACE")},
		extensionscmdwebhook.NewSwitchOptions(
			extensionscmdwebhook.Switch(validator.Name, func(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
				return validator.New(mgr, validator.Options{})
			}),
			extensionscmdwebhook.Switch(validator.SecretsName, func(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
				return validator.NewSecrets(mgr, validator.Options{})
			}),
			extensionscmdwebhook.Switch(mutator.Name, func(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
				return mutator.New(mgr, mutator.Options{})
			}),
		))
	options := extensionscmdcontroller.NewOptionAggregator(p.rest, p.manager, p.webhooks)
	command := &cobra.Command{
		Use:   "gardener-extension-admission-packet",
		Short: "Checks the garden resources of provider packet",
		Long: `gardener-extension-admission-packet runs where the garden cluster runs. The garden's API server asks it, by webhooks,
whether CloudProfiles, NamespacedCloudProfiles, Shoots, Secrets, SecretBindings and CredentialsBindings of provider
packet are right, before it stores them.

GARDEN_KUBECONFIG, or --kubeconfig, says where the garden's API server is. The certificate of the webhooks is kept in a
Secret of the cluster that the program runs on, or, away from a pod, of the garden.`,
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error {
			if kubeconfig := os.Getenv("GARDEN_KUBECONFIG"); kubeconfig != "" {
				p.rest.Kubeconfig = kubeconfig
			}
			if err := options.Complete(); err != nil {
				return fmt.Errorf("reading the flags: %w", err)
			}
			mgr, err := p.newManager(ctx)
			if err != nil {
				return err
			}
			if err := mgr.Start(ctx); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("running the webhooks: %w", err)
			}
			return nil
		},
	}
	options.AddFlags(command.Flags())
	return command
}

func (p *program) newManager(ctx context.Context) (manager.Manager, error) {
	garden := p.rest.Completed().Config
	util.ApplyClientConnectionConfigurationToRESTConfig(&componentbaseconfigv1alpha1.ClientConnectionConfiguration{QPS: 100, Burst: 130}, garden)
	managerOptions := p.manager.Completed().Options()
	runtimeCluster, err := runtimeClusterOf(garden)
	if err != nil {
		return nil, err
	}
	managerOptions.LeaderElectionConfig = runtimeCluster
	mgr, err := manager.New(garden, managerOptions)
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	gardencoreinstall.Install(mgr.GetScheme())
	securityinstall.Install(mgr.GetScheme())
	source, err := cluster.New(runtimeCluster, func(options *cluster.Options) {
		options.Logger = mgr.GetLogger()
		options.Cache.DefaultNamespaces = map[string]cache.Config{v1beta1constants.GardenNamespace: {}}
	})
	if err != nil {
		return nil, fmt.Errorf("reaching the cluster that this runs on: %w", err)
	}
	if err := mgr.Add(source); err != nil {
		return nil, fmt.Errorf("adding the cluster that this runs on: %w", err)
	}
	if _, err := p.webhooks.Completed().AddToManager(ctx, mgr, source); err != nil {
		return nil, fmt.Errorf("adding the webhooks: %w", err)
	}
	return mgr, addProbes(mgr, source)
}

// runtimeClusterOf is the cluster that this runs on: its pod's, or, away from a pod, the garden itself.
func runtimeClusterOf(garden *rest.Config) (*rest.Config, error) {
	config, err := rest.InClusterConfig()
	if errors.Is(err, rest.ErrNotInCluster) {
		return rest.CopyConfig(garden), nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading how to reach the cluster that this runs on: %w", err)
	}
	return config, nil
}

func addProbes(mgr manager.Manager, source cluster.Cluster) error {
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("adding a probe: %w", err)
	}
	if err := mgr.AddReadyzCheck("webhook-server", mgr.GetWebhookServer().StartedChecker()); err != nil {
		return fmt.Errorf("adding a probe: %w", err)
	}
	for name, of := range map[string]cluster.Cluster{"informer-sync": mgr, "source-informer-sync": source} {
		if err := mgr.AddHealthzCheck(name, gardenerhealthz.NewCacheSyncHealthzWithDeadline(
			mgr.GetLogger(), clock.RealClock{}, of.GetCache(), gardenerhealthz.DefaultCacheSyncDeadline)); err != nil {
			return fmt.Errorf("adding a probe: %w", err)
		}
		if err := mgr.AddReadyzCheck(name, gardenerhealthz.NewCacheSyncHealthz(of.GetCache())); err != nil {
			return fmt.Errorf("adding a probe: %w", err)
		}
	}
	return nil
}
