package clusterctl

import (
	"fmt"
	"slices"

	"github.com/spf13/viper"
	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"
	"sigs.k8s.io/cluster-api/cmd/clusterctl/client/config"
)

// clusterAPIVersion is the version of Cluster API inside the manager.
const clusterAPIVersion = "v1.14.2"

// builtInProvider is one of the four providers that come with this program.
type builtInProvider struct {
	name    string
	kind    clusterctlv1.ProviderType
	version string
	// label is its folder in the repository, as clusterctl derives it from kind and name.
	label string
	// components is what the contract of clusterctl calls its manifest.
	components string
}

// builtInProviders are packet and the providers of Cluster API, which are the same program in other Deployments.
var builtInProviders = []builtInProvider{
	{config.ClusterAPIProviderName, clusterctlv1.CoreProviderType, clusterAPIVersion, "cluster-api", "core-components.yaml"},
	{config.KubeadmBootstrapProviderName, clusterctlv1.BootstrapProviderType, clusterAPIVersion, "bootstrap-kubeadm", "bootstrap-components.yaml"},
	{config.KubeadmControlPlaneProviderName, clusterctlv1.ControlPlaneProviderType, clusterAPIVersion, "control-plane-kubeadm", "control-plane-components.yaml"},
	{ProviderName, clusterctlv1.InfrastructureProviderType, Version, infrastructureLabel, componentsFile},
}

// clusterAPIMetadata is metadata.yaml of the providers of Cluster API.
const clusterAPIMetadata = `apiVersion: clusterctl.cluster.x-k8s.io/v1alpha3
kind: Metadata
releaseSeries:
  - major: 1
    minor: 14
    contract: v1beta2
`

// configureProviders adds the providers of the repository to those of the user's configuration, for this run only. A
// provider that the user configured wins. The answer is whether packet is the built-in one.
//
// With all, the built-in providers of Cluster API are added too, in place of upstream's releases. That is right when packet
// is all that gets installed, or was: with another infrastructure provider the usual Cluster API is needed.
func configureProviders(repository string, all bool) (builtIn bool, err error) {
	// Entries keep all of their fields, also those this program does not know.
	var configured []map[string]any
	if err := viper.UnmarshalKey(config.ProvidersConfigKey, &configured); err != nil {
		return false, fmt.Errorf("reading the field %q of the clusterctl configuration: it must be a list of providers with name, type and url: %w",
			config.ProvidersConfigKey, err)
	}
	for _, provider := range builtInProviders {
		ours := provider.kind == clusterctlv1.InfrastructureProviderType
		url := fileURL(repository, provider.label, provider.version, provider.components)
		index := slices.IndexFunc(configured, func(entry map[string]any) bool {
			return entry["name"] == provider.name && entry["type"] == string(provider.kind)
		})
		if ours {
			builtIn = index < 0 || configured[index]["url"] == url
		}
		if index < 0 && (ours || all) {
			configured = append(configured, map[string]any{"name": provider.name, "type": string(provider.kind), "url": url})
		}
	}
	viper.Set(config.ProvidersConfigKey, configured)
	return builtIn, nil
}
