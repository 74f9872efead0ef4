package controlplane

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/version"
	// Registers the gates of apiserver's library, with which the cloud controller manager serves /metrics.
	_ "k8s.io/apiserver/pkg/features"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
	metricsfeatures "k8s.io/component-base/metrics/features"
	componentversion "k8s.io/component-base/version"
	// Registers the gates of controller managers.
	_ "k8s.io/controller-manager/pkg/features/register"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
)

// checkFeatureGates finds gates that the cloud controller manager does not have, or that it has locked: it would not start. It is
// the same program for Shoots of all versions, and its gates are those of the libraries that it shares with this one, so that a gate
// which the Shoot's version of Kubernetes has need not be among them.
func checkFeatureGates(config *v1alpha1.ControlPlaneConfig) error {
	if config.CloudControllerManager == nil || len(config.CloudControllerManager.FeatureGates) == 0 {
		return nil
	}
	// Not this program's own ones, which must stay as they are.
	current, err := version.Parse(componentversion.DefaultKubeBinaryVersion)
	if err != nil {
		return fmt.Errorf("reading the version of Kubernetes' libraries: %w", err)
	}
	gates := featuregate.NewVersionedFeatureGate(current)
	shared := func(gates featuregate.MutableVersionedFeatureGate) error {
		return gates.AddVersioned(utilfeature.DefaultMutableFeatureGate.GetAllVersioned())
	}
	for _, add := range []func(featuregate.MutableVersionedFeatureGate) error{shared, metricsfeatures.AddFeatureGates, logsapi.AddFeatureGates} {
		if err := add(gates); err != nil {
			return fmt.Errorf("adding the feature gates of the cloud controller manager: %w", err)
		}
	}
	if err := gates.SetFromMap(config.CloudControllerManager.FeatureGates); err != nil {
		return fmt.Errorf("configuration problem: controlPlaneConfig.cloudControllerManager.featureGates is refused by the cloud controller manager: %w", err)
	}
	return nil
}

// featureGates are those of the cloud controller manager, by name.
func featureGates(config *v1alpha1.ControlPlaneConfig) map[string]any {
	gates := map[string]any{}
	if config.CloudControllerManager != nil {
		for name, on := range config.CloudControllerManager.FeatureGates {
			gates[name] = on
		}
	}
	return gates
}
