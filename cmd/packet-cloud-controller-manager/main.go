// Command packet-cloud-controller-manager initialises the nodes of a
// Kubernetes cluster that run on devices of the Packet API, and removes those
// whose device is gone.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
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
	command := app.NewCloudControllerManagerCommand(ccmOptions, initialize, app.DefaultInitFuncConstructors,
		names.CCMControllerAliases(), cliflag.NamedFlagSets{}, stop)
	command.Use = "packet-cloud-controller-manager"
	command.Long = "The cloud controller manager for clusters whose nodes are devices of the Packet API.\n\n" +
		"The API, project and token come from the file of --cloud-config or, before it, from\n" +
		packet.EnvAPIURL + ", " + packet.EnvProjectID + " and " + packet.EnvAPIToken + "."
	return command, nil
}

// setDefaults changes what the flags default to.
func setDefaults(o *options.CloudControllerManagerOptions) {
	o.KubeCloudShared.CloudProvider.Name = ccm.ProviderName
	// There are no load balancers and no routes in this provider, and asking
	// for their controllers nevertheless puts errors into the log.
	o.Generic.Controllers = []string{names.CloudNodeController, names.CloudNodeLifecycleController}
	// One listing of the project answers for all nodes, so that looking more
	// often, and at many at once, costs the API next to nothing.
	o.NodeStatusUpdateFrequency.Duration = time.Minute
	o.NodeController.ConcurrentNodeSyncs = 10
	// A follower takes over a second sooner. The lease itself stays as long as
	// it is, because a leader that misses it on a busy machine exits.
	o.Generic.LeaderElection.RetryPeriod.Duration = time.Second
	// Who may read /metrics is looked up in the cluster. That this cannot be
	// done yet must not keep nodes waiting for a restart.
	o.Authentication.TolerateInClusterLookupFailure = true
	// No webhooks are served, so nothing listens for them.
	o.WebhookServing.BindPort = 0
}

func initialize(config *config.CompletedConfig) cloudprovider.Interface {
	provider := config.ComponentConfig.KubeCloudShared.CloudProvider
	cloud, err := cloudprovider.InitCloudProvider(provider.Name, provider.CloudConfigFile)
	if err != nil {
		klog.ErrorS(err, "Cannot initialise the cloud provider", "provider", provider.Name)
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
	if cloud == nil {
		klog.ErrorS(nil, "There is no such cloud provider; name one with --cloud-provider", "provider", provider.Name, "known", ccm.ProviderName)
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
	return cloud
}
