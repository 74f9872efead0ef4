package clusterctl

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"
	"sigs.k8s.io/cluster-api/cmd/clusterctl/client/cluster"
	"sigs.k8s.io/cluster-api/cmd/clusterctl/client/config"
)

// errOneProcess says why a bootstrap cluster of this release is not upgraded
// provider by provider.
var errOneProcess = errors.New("the providers of this bootstrap cluster are one process, which `clusterctl upgrade` cannot replace one by one: " +
	"apply the " + builtComponentsFile + " of the newer release with `kubectl apply -f " + builtComponentsFile + "`")

// refuseUpgradeOfOneProcess stops `clusterctl upgrade` before it looks for
// releases of Cluster API, if the cluster's inventory says that Cluster API runs
// in the packet manager.
func refuseUpgradeOfOneProcess(cmd *cobra.Command) error {
	ctx := cmdContext(cmd)
	configClient, err := config.New(ctx, cmd.Flag("config").Value.String())
	if err != nil {
		return fmt.Errorf("reading the clusterctl configuration: %w", err)
	}
	inventory := cluster.New(cluster.Kubeconfig{
		Path:    cmd.Flags().Lookup("kubeconfig").Value.String(),
		Context: cmd.Flags().Lookup("kubeconfig-context").Value.String(),
	}, configClient).ProviderInventory()
	providers, err := inventory.List(ctx)
	if err != nil {
		// Without an inventory upstream has more to say than this check.
		return nil //nolint:nilerr // Upstream meets the same error and reports it.
	}
	for _, provider := range providers.Items {
		if provider.GetProviderType() == clusterctlv1.CoreProviderType && provider.Namespace == managerNamespace {
			return errOneProcess
		}
	}
	return nil
}
