package clusterctl

import (
	"fmt"

	"github.com/spf13/viper"
	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"
	"sigs.k8s.io/cluster-api/cmd/clusterctl/client/config"
)

// clusterAPIVersion is the version of Cluster API inside the manager.
const clusterAPIVersion = "v1.14.2"

// managerNamespace is where provider-components.yaml puts the manager.
const managerNamespace = "cluster-api-provider-packet-system"

// sharedProvider is a provider of Cluster API that runs in the packet manager's
// process. Cluster API's inventory wants every provider installed by itself, so
// `clusterctl init` gets a manifest for it that holds their common namespace.
type sharedProvider struct {
	name       string
	kind       clusterctlv1.ProviderType
	label      string
	components string
}

var sharedProviders = []sharedProvider{
	{config.ClusterAPIProviderName, clusterctlv1.CoreProviderType, "cluster-api", "core-components.yaml"},
	{config.KubeadmBootstrapProviderName, clusterctlv1.BootstrapProviderType, "bootstrap-kubeadm", "bootstrap-components.yaml"},
	{config.KubeadmControlPlaneProviderName, clusterctlv1.ControlPlaneProviderType, "control-plane-kubeadm", "control-plane-components.yaml"},
}

// files returns the provider's files by name.
func (p sharedProvider) files() map[string][]byte {
	return map[string][]byte{
		p.components: []byte(`# Runs in the process of the packet provider, whose manifest has all of it.
apiVersion: v1
kind: Namespace
metadata:
  name: ` + managerNamespace + `
`),
		"metadata.yaml": []byte(`apiVersion: clusterctl.cluster.x-k8s.io/v1alpha3
kind: Metadata
releaseSeries:
  - major: 1
    minor: 14
    contract: v1beta2
`),
	}
}

// configureProviders adds the built-in provider of the repository to those of
// the user's configuration, for this run only. A provider the user configured
// wins: then the answer is false, and nothing of ours is used.
//
// With shared, the providers in the same process are added too. That is right
// only when packet is all that gets installed: with another infrastructure
// provider the usual Cluster API is needed.
func configureProviders(repository string, shared bool) (builtIn bool, err error) {
	// Entries keep all of their fields, also those this program does not know.
	var configured []map[string]any
	if err := viper.UnmarshalKey(config.ProvidersConfigKey, &configured); err != nil {
		return false, fmt.Errorf("reading the field %q of the clusterctl configuration: it must be a list of providers with name, type and url: %w",
			config.ProvidersConfigKey, err)
	}
	add := func(name string, kind clusterctlv1.ProviderType, url string) bool {
		for _, provider := range configured {
			if provider["name"] == name && provider["type"] == string(kind) {
				return false
			}
		}
		configured = append(configured, map[string]any{"name": name, "type": string(kind), "url": url})
		return true
	}

	if !add(ProviderName, clusterctlv1.InfrastructureProviderType,
		fileURL(repository, infrastructureLabel, Version, componentsFile)) {
		return false, nil
	}
	if shared {
		for _, provider := range sharedProviders {
			add(provider.name, provider.kind, fileURL(repository, provider.label, clusterAPIVersion, provider.components))
		}
	}
	viper.Set(config.ProvidersConfigKey, configured)
	return true, nil
}
