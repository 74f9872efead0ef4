package controlplane

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	"github.com/gardener/gardener/extensions/pkg/controller/controlplane/genericactuator"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	kubernetesutils "github.com/gardener/gardener/pkg/utils/kubernetes"
	secretsmanager "github.com/gardener/gardener/pkg/utils/secrets/manager"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/decode"
	"github.com/packetyard/packetyard/internal/gardener/faults"
	"github.com/packetyard/packetyard/pkg/packet"
)

// valuesProvider makes the values of the charts out of a ControlPlane and its cluster.
type valuesProvider struct {
	// Charts that do not exist have no values.
	genericactuator.NoopValuesProvider

	reader    client.Reader
	apiURL    string
	dashboard string
}

// GetControlPlaneChartValues implements genericactuator.ValuesProvider.
func (p *valuesProvider) GetControlPlaneChartValues(
	ctx context.Context,
	cp *extensionsv1alpha1.ControlPlane,
	cluster *extensionscontroller.Cluster,
	secrets secretsmanager.Reader,
	checksums map[string]string,
	scaledDown bool,
) (map[string]any, error) {
	config, err := configOf(cp, cluster)
	if err != nil {
		return nil, faults.Coded(err)
	}
	credentials, err := p.account(ctx, cp, cluster)
	if err != nil {
		return nil, faults.Coded(err)
	}
	server, err := secretOf(secrets, serverCertificate)
	if err != nil {
		return nil, err
	}
	values := map[string]any{
		"replicas":                         extensionscontroller.GetControlPlaneReplicas(cluster, scaledDown, 1),
		"clusterName":                      cluster.Shoot.Status.TechnicalID,
		"genericTokenKubeconfigSecretName": extensionscontroller.GenericTokenKubeconfigSecretNameFromCluster(cluster),
		"cloudProviderSecretName":          cp.Spec.SecretRef.Name,
		"serverSecretName":                 server.Name,
		"podAnnotations": map[string]any{
			"checksum/secret-" + v1beta1constants.SecretNameCloudProvider: checksums[v1beta1constants.SecretNameCloudProvider],
		},
		"apiURL":          credentials.APIURL,
		"projectID":       credentials.ProjectID,
		"addressPolicy":   addressPolicy(cluster.Shoot),
		"loadBalancer":    loadBalancerFlag(implementation(config)),
		"featureGates":    featureGates(config),
		"tlsCipherSuites": slices.Clone(kubernetesutils.TLSCipherSuites),
		"dashboard":       p.dashboard,
	}
	region := strings.ToLower(cp.Spec.Region)
	values[locationKind(region)] = region
	return values, nil
}

// account is the Packet account of the Shoot.
func (p *valuesProvider) account(ctx context.Context, cp *extensionsv1alpha1.ControlPlane, cluster *extensionscontroller.Cluster) (packet.Credentials, error) {
	var ofProfile string
	if cluster.CloudProfile != nil {
		profile, err := decode.CloudProfileConfig(cluster.CloudProfile.Spec.ProviderConfig)
		if err != nil {
			return packet.Credentials{}, fmt.Errorf("reading spec.providerConfig of CloudProfile %s: %w", cluster.CloudProfile.Name, err)
		}
		if profile.APIURL != nil {
			ofProfile = *profile.APIURL
		}
	}
	return account.Read(ctx, p.reader, cp.Spec.SecretRef, ofProfile, p.apiURL)
}

// configOf is the Shoot's controlPlaneConfig, as far as it makes sense for the Shoot.
func configOf(cp *extensionsv1alpha1.ControlPlane, cluster *extensionscontroller.Cluster) (*v1alpha1.ControlPlaneConfig, error) {
	config, err := decode.ControlPlaneConfig(cp.Spec.ProviderConfig)
	if err != nil {
		return nil, fmt.Errorf("reading spec.providerConfig of ControlPlane %s: %w", cp.Name, err)
	}
	switch chosen := implementation(config); chosen {
	case v1alpha1.LoadBalancerNone, v1alpha1.LoadBalancerDisabled:
	case v1alpha1.LoadBalancerMetalLB:
		if slices.Contains(ipFamilies(cluster.Shoot), gardencorev1beta1.IPFamilyIPv6) {
			// By itself MetalLB speaks BGP for IPv4 alone, and refuses all of its configuration for one address of IPv6 in it.
			return nil, fmt.Errorf("configuration problem: controlPlaneConfig.loadBalancer.implementation is %s, and networking.ipFamilies has IPv6, which MetalLB does not announce: set the implementation to %s or %s",
				chosen, v1alpha1.LoadBalancerNone, v1alpha1.LoadBalancerDisabled)
		}
	default:
		return nil, fmt.Errorf("configuration problem: controlPlaneConfig.loadBalancer.implementation is %q, allowed are %s, %s and %s",
			chosen, v1alpha1.LoadBalancerMetalLB, v1alpha1.LoadBalancerNone, v1alpha1.LoadBalancerDisabled)
	}
	if err := checkFeatureGates(config); err != nil {
		return nil, err
	}
	return config, nil
}

// implementation is what announces the addresses of Services.
func implementation(config *v1alpha1.ControlPlaneConfig) v1alpha1.LoadBalancerImplementation {
	if config.LoadBalancer == nil || config.LoadBalancer.Implementation == "" {
		return v1alpha1.LoadBalancerMetalLB
	}
	return config.LoadBalancer.Implementation
}

// loadBalancerFlag is the cloud controller manager's --packet-load-balancer, see docs/load-balancers.md. It is empty for none.
func loadBalancerFlag(implementation v1alpha1.LoadBalancerImplementation) string {
	switch implementation {
	case v1alpha1.LoadBalancerMetalLB:
		return "metallb://" + MetalLBNamespace + "?crdConfiguration=true"
	case v1alpha1.LoadBalancerNone:
		return "empty://"
	default:
		return ""
	}
}

// addressPolicy is the cloud controller manager's --packet-address-policy. It is empty for IPv4, which is the flag's default.
func addressPolicy(shoot *gardencorev1beta1.Shoot) string {
	families := ipFamilies(shoot)
	switch {
	case !slices.Contains(families, gardencorev1beta1.IPFamilyIPv6):
		return ""
	case slices.Contains(families, gardencorev1beta1.IPFamilyIPv4):
		return "dual-stack"
	default:
		return "ipv6"
	}
}

func ipFamilies(shoot *gardencorev1beta1.Shoot) []gardencorev1beta1.IPFamily {
	if shoot.Spec.Networking == nil {
		return nil
	}
	return shoot.Spec.Networking.IPFamilies
}

// metroCode is what the code of a metro looks like; that of a facility goes on after it, as in ny5 or ewr1.
var metroCode = regexp.MustCompile(`^[a-z]{2}$`)

// locationKind is the value of the chart that a region is for: a metro, such as da, or, as in the days of facilities, a facility.
func locationKind(region string) string {
	if metroCode.MatchString(region) {
		return "metro"
	}
	return "facility"
}
