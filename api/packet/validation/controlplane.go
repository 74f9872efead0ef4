package validation

import (
	"slices"

	"github.com/gardener/gardener/pkg/utils/validation/features"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
)

// ValidateControlPlaneConfig tells what is wrong with the controlPlaneConfig of a Shoot of this Kubernetes version.
func ValidateControlPlaneConfig(config *v1alpha1.ControlPlaneConfig, kubernetesVersion string, at *field.Path) field.ErrorList {
	var problems field.ErrorList
	if controller := config.CloudControllerManager; controller != nil {
		problems = append(problems, features.ValidateFeatureGates(controller.FeatureGates, kubernetesVersion, at.Child("cloudControllerManager", "featureGates"))...)
	}
	if balancer := config.LoadBalancer; balancer != nil && balancer.Implementation != "" {
		known := []v1alpha1.LoadBalancerImplementation{v1alpha1.LoadBalancerMetalLB, v1alpha1.LoadBalancerNone, v1alpha1.LoadBalancerDisabled}
		if !slices.Contains(known, balancer.Implementation) {
			problems = append(problems, field.NotSupported(at.Child("loadBalancer", "implementation"), balancer.Implementation, known))
		}
	}
	return problems
}
