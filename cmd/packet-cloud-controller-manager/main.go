// Command packet-cloud-controller-manager initialises the nodes of a
// Kubernetes cluster that run on devices of the Packet API, and removes those
// whose device is gone. It gives Services their addresses, and nodes BGP.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/server"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	"k8s.io/cloud-provider/names"
	"k8s.io/cloud-provider/options"
	"k8s.io/component-base/cli"
	cliflag "k8s.io/component-base/cli/flag"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/internal/ccm"
	"github.com/packetyard/packetyard/pkg/packet"
)

func main() {
	command, err := newCommand(server.SetupSignalHandler())
	if err != nil {
		klog.ErrorS(err, "Cannot make the command")
		os.Exit(1)
	}
	os.Exit(cli.Run(command))
}

// newCommand is Kubernetes' own cloud controller manager with this provider.
func newCommand(stop <-chan struct{}) (*cobra.Command, error) {
	ccmOptions, err := options.NewCloudControllerManagerOptions()
	if err != nil {
		return nil, fmt.Errorf("making the options of the cloud controller manager: %w", err)
	}
	setDefaults(ccmOptions)
	flags := ccm.NewFlags()
	command := app.NewCloudControllerManagerCommand(ccmOptions, initializer(flags), ccm.Controllers(),
		names.CCMControllerAliases(), cliflag.NamedFlagSets{
			Order: []string{"packet"}, FlagSets: map[string]*pflag.FlagSet{"packet": flags.FlagSet()},
		}, stop)
	// There are no routes in this provider, and asking for their controller
	// nevertheless puts a warning into the log. This default is the flag's own.
	if routes := command.Flags().Lookup("configure-cloud-routes"); routes != nil {
		routes.DefValue = "false"
		if err := routes.Value.Set(routes.DefValue); err != nil {
			return nil, fmt.Errorf("setting the default of --%s: %w", routes.Name, err)
		}
	}
	command.Use = "packet-cloud-controller-manager"
	command.Long = "The cloud controller manager for clusters whose nodes are devices of the Packet API.\n\n" +
		"What it needs to know comes from the flags below, else from the environment, else\n" +
		"from the file of --cloud-config. The token has no flag: it comes from " + packet.EnvAPIToken + ",\n" +
		"from the file, or from a file of its own."
	return command, nil
}

// setDefaults changes what the flags default to.
func setDefaults(o *options.CloudControllerManagerOptions) {
	o.KubeCloudShared.CloudProvider.Name = ccm.ProviderName
	// One listing of the project answers for all nodes, so that looking more
	// often, and at many at once, costs the API next to nothing.
	o.NodeStatusUpdateFrequency.Duration = time.Minute
	o.NodeController.ConcurrentNodeSyncs = 10
	// A thousand nodes that join at once are some thousands of writes, which at
	// the usual 20 a second would keep the last one waiting for minutes. How
	// much is too much is for the API server's priority and fairness to say.
	o.Generic.ClientConnection.QPS = 300
	o.Generic.ClientConnection.Burst = 600
	// A follower takes over a second sooner. The lease itself stays as long as
	// it is, because a leader that misses it on a busy machine exits.
	o.Generic.LeaderElection.RetryPeriod.Duration = time.Second
	// Who may read /metrics is looked up in the cluster. That this cannot be
	// done yet must not keep nodes waiting for a restart.
	o.Authentication.TolerateInClusterLookupFailure = true
	// No webhooks are served, so nothing listens for them.
	o.WebhookServing.BindPort = 0
}

// initializer makes the cloud provider of the configuration, or says all that
// is wrong with it and ends the process.
func initializer(flags *ccm.Flags) app.InitCloudFunc {
	return func(config *config.CompletedConfig) cloudprovider.Interface {
		provider := config.ComponentConfig.KubeCloudShared.CloudProvider
		cloud, err := cloudprovider.GetCloudProvider(provider.Name, &ccm.Source{Path: provider.CloudConfigFile, Flags: flags})
		if err != nil {
			fatal("%v", err)
		}
		if cloud == nil {
			fatal("there is no cloud provider %q: --cloud-provider takes %s", provider.Name, ccm.ProviderName)
		}
		return cloud
	}
}

// fatal ends the process. The message has several lines, which a structured
// log would quote into one that nobody can read.
func fatal(format string, args ...any) {
	klog.Flush()
	fmt.Fprintf(os.Stderr, "packet-cloud-controller-manager: "+format+"\n", args...)
	klog.FlushAndExit(klog.ExitFlushTimeout, 1)
}
