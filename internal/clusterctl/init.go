package clusterctl

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/cluster-api/cmd/clusterctl/client"
	"sigs.k8s.io/cluster-api/cmd/clusterctl/client/cluster"
	"sigs.k8s.io/cluster-api/cmd/clusterctl/client/config"
)

// providerFlags are the flags of `clusterctl init` that name providers besides
// --infrastructure.
var providerFlags = []string{"core", "bootstrap", "control-plane", "ipam", "runtime-extension", "addon"}

// initialisesOnlyPacket tells whether cmd is `clusterctl init` and the built-in
// provider is all it was asked for. Then everything comes with this program, and
// needs neither the releases of Cluster API nor cert-manager.
func initialisesOnlyPacket(cmd *cobra.Command) bool {
	if cmd.Name() != "init" && (!cmd.HasParent() || cmd.Parent().Name() != "init") {
		return false
	}
	infrastructure, err := cmd.Flags().GetStringSlice("infrastructure")
	if err != nil || len(infrastructure) != 1 || !namesBuiltIn(infrastructure[0]) {
		return false
	}
	return !anyChanged(cmd, providerFlags...)
}

func namesBuiltIn(provider string) bool {
	return slices.Contains([]string{ProviderName, ProviderName + ":" + Version}, provider)
}

// extendInit makes `clusterctl init --infrastructure packet` install the four
// providers that come with this program, without network.
func (s *session) extendInit(cmd *cobra.Command) {
	upstream := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !s.builtIn || !initialisesOnlyPacket(cmd) {
			return upstream(cmd, args)
		}
		c, options, err := s.initClient(cmd)
		if err != nil {
			return err
		}
		// The Deployment of the infrastructure provider takes the place of the one process, so that what follows is a
		// first installation.
		if err := forgetOneProcess(cmd); err != nil {
			return err
		}
		options.LogUsageInstructions = true
		_, err = c.Init(cmdContext(cmd), options)
		return err
	}
}

// extendListImages does the same for `clusterctl init list-images`.
func (s *session) extendListImages(cmd *cobra.Command) {
	upstream := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !s.builtIn || !initialisesOnlyPacket(cmd) {
			return upstream(cmd, args)
		}
		c, options, err := s.initClient(cmd)
		if err != nil {
			return err
		}
		images, err := c.InitImages(cmdContext(cmd), options)
		if err != nil {
			return err
		}
		for _, image := range images {
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), image); err != nil {
				return fmt.Errorf("printing the images: %w", err)
			}
		}
		return nil
	}
}

// initClient returns a client that installs no cert-manager, and the options
// that the command's flags ask for.
func (s *session) initClient(cmd *cobra.Command) (client.Client, client.InitOptions, error) {
	if !s.componentsFound {
		return nil, client.InitOptions{}, errNoComponents
	}
	ctx := cmdContext(cmd)
	configClient, err := config.New(ctx, cmd.Flag("config").Value.String())
	if err != nil {
		return nil, client.InitOptions{}, fmt.Errorf("reading the clusterctl configuration: %w", err)
	}
	c, err := client.New(ctx, "",
		client.InjectConfig(configClient),
		client.InjectClusterClientFactory(func(input client.ClusterClientFactoryInput) (cluster.Client, error) {
			return withoutCertManager{cluster.New(cluster.Kubeconfig(input.Kubeconfig), configClient)}, nil
		}))
	if err != nil {
		return nil, client.InitOptions{}, fmt.Errorf("making the clusterctl client: %w", err)
	}
	options, err := initOptions(cmd)
	return c, options, err
}

// initOptions reads upstream's flags. `list-images` has only the persistent
// ones; what it lacks keeps its zero value.
func initOptions(cmd *cobra.Command) (client.InitOptions, error) {
	flags := cmd.Flags()
	infrastructure, err := flags.GetStringSlice("infrastructure")
	if err != nil {
		return client.InitOptions{}, fmt.Errorf("reading --infrastructure: %w", err)
	}
	options := client.InitOptions{
		Kubeconfig: client.Kubeconfig{
			Path:    flags.Lookup("kubeconfig").Value.String(),
			Context: flags.Lookup("kubeconfig-context").Value.String(),
		},
		InfrastructureProviders: infrastructure,
	}
	if flags.Lookup("target-namespace") == nil {
		return options, nil
	}
	options.TargetNamespace = flags.Lookup("target-namespace").Value.String()
	if options.WaitProviders, err = flags.GetBool("wait-providers"); err != nil {
		return options, fmt.Errorf("reading --wait-providers: %w", err)
	}
	seconds, err := flags.GetInt("wait-provider-timeout")
	if err != nil {
		return options, fmt.Errorf("reading --wait-provider-timeout: %w", err)
	}
	options.WaitProviderTimeout = time.Duration(seconds) * time.Second
	validate, err := flags.GetBool("validate")
	if err != nil {
		return options, fmt.Errorf("reading --validate: %w", err)
	}
	options.IgnoreValidationErrors = !validate
	return options, nil
}

// requireComponents stops `clusterctl generate provider --infrastructure packet`
// with a plain text when there is no manifest to print.
func (s *session) requireComponents(cmd *cobra.Command) error {
	if s.builtIn && !s.componentsFound && namesBuiltIn(cmd.Flags().Lookup("infrastructure").Value.String()) {
		return errNoComponents
	}
	return nil
}

func cmdContext(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// withoutCertManager is a bootstrap cluster that needs no cert-manager: the
// packet manager provides its webhook certificates itself.
type withoutCertManager struct {
	cluster.Client
}

// CertManager returns a client that does nothing.
func (withoutCertManager) CertManager() cluster.CertManagerClient { return noCertManager{} }

type noCertManager struct{}

func (noCertManager) EnsureInstalled(context.Context) error     { return nil }
func (noCertManager) EnsureLatestVersion(context.Context) error { return nil }
func (noCertManager) PlanUpgrade(context.Context) (cluster.CertManagerUpgradePlan, error) {
	return cluster.CertManagerUpgradePlan{ExternallyManaged: true}, nil
}
func (noCertManager) Images(context.Context) ([]string, error) { return nil, nil }
