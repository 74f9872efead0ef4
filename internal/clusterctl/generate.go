package clusterctl

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// defaultGenerateCluster fills in what `clusterctl generate cluster` would
// otherwise ask a bootstrap cluster for, so that it works before there is one:
// the provider is the built-in one, the namespace the kubeconfig's current one.
func (s *session) defaultGenerateCluster(cmd *cobra.Command) error {
	flags := cmd.Flags()
	if s.builtIn && !anyChanged(cmd, "from", "from-config-map", "from-config-map-namespace", "from-config-map-key") {
		switch flags.Lookup("infrastructure").Value.String() {
		case "", ProviderName:
			if err := flags.Set("infrastructure", ProviderName+":"+Version); err != nil {
				return fmt.Errorf("choosing the infrastructure provider: %w", err)
			}
		}
	}
	if flags.Lookup("target-namespace").Value.String() != "" {
		return nil
	}
	namespace, err := currentNamespace(flags.Lookup("kubeconfig").Value.String(), flags.Lookup("kubeconfig-context").Value.String())
	if err != nil {
		return err
	}
	if err := flags.Set("target-namespace", namespace); err != nil {
		return fmt.Errorf("choosing the namespace of the cluster: %w", err)
	}
	return nil
}

func anyChanged(cmd *cobra.Command, names ...string) bool {
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

// currentNamespace returns the namespace of a kubeconfig's context, and default
// if there is no kubeconfig at all. It asks no cluster.
func currentNamespace(kubeconfig, context string) (string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	loaded, err := rules.Load()
	if err != nil {
		return "", fmt.Errorf("reading the kubeconfig for its current namespace: %w", err)
	}
	if context != "" && loaded.Contexts[context] == nil {
		return "", fmt.Errorf("--kubeconfig-context is %q, which is not in the kubeconfig; it has %q",
			context, slices.Sorted(maps.Keys(loaded.Contexts)))
	}
	if context == "" {
		context = loaded.CurrentContext
	}
	if current := loaded.Contexts[context]; current != nil && current.Namespace != "" {
		return current.Namespace, nil
	}
	return metav1.NamespaceDefault, nil
}
