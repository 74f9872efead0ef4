package clusterctl

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// errOneProcess says why a bootstrap cluster with one process for all providers
// is not upgraded provider by provider.
var errOneProcess = errors.New("the providers of this bootstrap cluster are one process, which `clusterctl upgrade` cannot replace one by one: " +
	"apply the provider-components.yaml of the newer release with `kubectl apply -f provider-components.yaml`, " +
	"or change to one Deployment per provider with `clusterctl init --infrastructure packet`")

// prepareUpgrade stops `clusterctl upgrade` where there is nothing to upgrade
// one by one, and has it look for newer versions of Cluster API in the built-in
// repository if the installed ones come from there: upstream's releases do not
// bring certificates for their webhooks, and would need network and cert-manager.
func (s *session) prepareUpgrade(cmd *cobra.Command) error {
	c, err := clusterOf(cmd, "")
	if err != nil {
		return err
	}
	if one, err := runsOneProcess(cmd, c); err != nil || one {
		return errors.Join(err, onlyIf(one, errOneProcess))
	}
	providers, err := c.ProviderInventory().List(cmdContext(cmd))
	if err != nil {
		// Without an inventory upstream has more to say than this program.
		return nil //nolint:nilerr // Upstream meets the same error and reports it.
	}
	for _, provider := range providers.Items {
		if provider.GetProviderType() != clusterctlv1.CoreProviderType {
			continue
		}
		ours, err := isBuiltIn(cmd, c, provider.Namespace, "capi-controller-manager")
		if err != nil || !ours {
			return err
		}
		if _, err := configureProviders(s.repository, true); err != nil {
			return err
		}
	}
	return nil
}

func onlyIf(condition bool, err error) error {
	if condition {
		return err
	}
	return nil
}

// isBuiltIn tells whether a Deployment runs our program: upstream's have no flag --providers.
func isBuiltIn(cmd *cobra.Command, c clusterClient, namespace, name string) (bool, error) {
	arguments, err := managerArguments(cmd, c, namespace, name)
	return slices.ContainsFunc(arguments, isProvidersFlag), err
}

func isProvidersFlag(argument string) bool { return strings.HasPrefix(argument, "--providers") }

// managerArguments are those of a manager's Deployment, and none if there is no such Deployment.
func managerArguments(cmd *cobra.Command, c clusterClient, namespace, name string) ([]string, error) {
	kube, err := c.Proxy().NewClient(cmdContext(cmd))
	if err != nil {
		return nil, fmt.Errorf("connecting to the bootstrap cluster: %w", err)
	}
	deployment := &appsv1.Deployment{}
	if err := kube.Get(cmdContext(cmd), client.ObjectKey{Namespace: namespace, Name: name}, deployment); apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("looking for the manager: %w", err)
	}
	for _, container := range deployment.Spec.Template.Spec.Containers {
		if container.Name == "manager" {
			return append([]string{"manager"}, container.Args...), nil
		}
	}
	return nil, nil
}
