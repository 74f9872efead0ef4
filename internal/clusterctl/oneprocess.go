package clusterctl

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"
	"sigs.k8s.io/cluster-api/cmd/clusterctl/client/cluster"
	"sigs.k8s.io/cluster-api/cmd/clusterctl/client/config"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What provider-components.yaml calls the process that runs all providers. The
// infrastructure provider that runs alone has the same names, so that either
// takes the place of the other.
const (
	managerNamespace  = "cluster-api-provider-packet-system"
	managerDeployment = "cluster-api-provider-packet-controller-manager"
	// mutatingWebhooks are those of the one process alone: the infrastructure
	// provider has none, so nothing would take their place.
	mutatingWebhooks = "cluster-api-provider-packet-mutating-webhook-configuration"
)

// clusterClient is what this program asks a bootstrap cluster.
type clusterClient interface {
	Proxy() cluster.Proxy
	ProviderInventory() cluster.InventoryClient
}

// clusterOf returns a client for the bootstrap cluster that a command's flags
// name, which begin with a prefix where a command works on two clusters.
func clusterOf(cmd *cobra.Command, prefix string) (clusterClient, error) {
	configClient, err := config.New(cmdContext(cmd), cmd.Flag("config").Value.String())
	if err != nil {
		return nil, fmt.Errorf("reading the clusterctl configuration: %w", err)
	}
	return cluster.New(cluster.Kubeconfig{
		Path:    cmd.Flags().Lookup(prefix + "kubeconfig").Value.String(),
		Context: cmd.Flags().Lookup(prefix + "kubeconfig-context").Value.String(),
	}, configClient), nil
}

// runsOneProcess tells whether a bootstrap cluster was given
// provider-components.yaml.
func runsOneProcess(cmd *cobra.Command, c clusterClient) (bool, error) {
	arguments, err := managerArguments(cmd, c, managerNamespace, managerDeployment)
	return len(arguments) > 0 && !slices.ContainsFunc(arguments, isProvidersFlag), err
}

// recordOneProcess writes the providers of one process into the inventory of
// bootstrap clusters where `kubectl apply` has put it: clusterctl moves clusters
// between bootstrap clusters only if their inventories match, and deletes what
// is in the inventory.
func recordOneProcess(cmd *cobra.Command, prefixes ...string) error {
	ctx := cmdContext(cmd)
	for _, prefix := range prefixes {
		if prefix != "" && !anyChanged(cmd, prefix+"kubeconfig", prefix+"kubeconfig-context") {
			continue // There is no second cluster.
		}
		if flag := cmd.Flags().Lookup("from-directory"); prefix == "" && flag != nil && flag.Changed {
			continue // There is no first one.
		}
		c, err := clusterOf(cmd, prefix)
		if err != nil {
			return err
		}
		if one, err := runsOneProcess(cmd, c); err != nil {
			return err
		} else if !one {
			continue
		}
		inventory := c.ProviderInventory()
		if err := inventory.EnsureCustomResourceDefinitions(ctx); err != nil {
			return fmt.Errorf("making the inventory of the bootstrap cluster: %w", err)
		}
		for _, provider := range builtInProviders {
			if err := inventory.Create(ctx, provider.inOneProcess()); err != nil {
				return fmt.Errorf("writing %s into the inventory of the bootstrap cluster: %w", provider.label, err)
			}
		}
	}
	return nil
}

// inOneProcess is the entry of a provider in the inventory of a bootstrap
// cluster where one process runs all.
func (p builtInProvider) inOneProcess() clusterctlv1.Provider {
	return clusterctlv1.Provider{
		TypeMeta: metav1.TypeMeta{APIVersion: clusterctlv1.GroupVersion.String(), Kind: "Provider"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: managerNamespace,
			Name:      p.label,
			Labels: map[string]string{
				clusterctlv1.ClusterctlLabel:     "",
				clusterv1.ProviderNameLabel:      p.label,
				clusterctlv1.ClusterctlCoreLabel: clusterctlv1.ClusterctlCoreLabelInventoryValue,
			},
		},
		ProviderName: p.name, Type: string(p.kind), Version: p.version,
	}
}

// forgetOneProcess takes the providers of one process out of the inventory,
// before `clusterctl init` puts one Deployment per provider in its place.
func forgetOneProcess(cmd *cobra.Command) error {
	c, err := clusterOf(cmd, "")
	if err != nil {
		return err
	}
	if one, err := runsOneProcess(cmd, c); err != nil || !one {
		return err
	}
	ctx := cmdContext(cmd)
	if err := c.ProviderInventory().EnsureCustomResourceDefinitions(ctx); err != nil {
		return fmt.Errorf("making the inventory of the bootstrap cluster: %w", err)
	}
	kube, err := c.Proxy().NewClient(ctx)
	if err != nil {
		return fmt.Errorf("connecting to the bootstrap cluster: %w", err)
	}
	for _, provider := range builtInProviders {
		if err := forget(ctx, kube, provider.inOneProcess()); err != nil {
			return err
		}
	}
	// Left there, they would ask the infrastructure provider about Machines, and
	// no Machine could be written any more.
	webhooks := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration"},
		ObjectMeta: metav1.ObjectMeta{Name: mutatingWebhooks},
	}
	if err := client.IgnoreNotFound(kube.Delete(ctx, webhooks)); err != nil {
		return fmt.Errorf("deleting the webhooks of the one process: %w", err)
	}
	return nil
}

func forget(ctx context.Context, kube client.Client, provider clusterctlv1.Provider) error {
	if err := client.IgnoreNotFound(kube.Delete(ctx, &provider)); err != nil {
		return fmt.Errorf("taking %s out of the inventory of the bootstrap cluster: %w", provider.Name, err)
	}
	return nil
}
