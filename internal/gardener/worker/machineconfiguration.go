package worker

import (
	"time"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gardener/gardener/extensions/pkg/controller/worker/genericactuator"
	extensionsv1alpha1helper "github.com/gardener/gardener/pkg/api/extensions/v1alpha1/helper"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
)

const (
	// machineCreationTimeout is how long a machine may take to join where nobody says. The 20 minutes of
	// machine-controller-manager are made for virtual machines. Hardware installs its system, which means two passes through the
	// firmware's self-test; on machines with much memory or with iPXE that has taken half an hour, and to give one up earlier
	// means to begin anew, for ever. A device that the Packet API says has failed is given up at once, by the driver.
	machineCreationTimeout = 45 * time.Minute
	// usualNodeProvisionTime is what Gardener writes into Shoots that do not say how long the cluster-autoscaler waits.
	usualNodeProvisionTime = 20 * time.Minute
)

// machineConfiguration are the pool's settings of machine-controller-manager. The time to join is the pool's, else that of the
// machine type in the CloudProfile, else machineCreationTimeout.
func machineConfiguration(pool extensionsv1alpha1.WorkerPool, machineType *gardencorev1beta1.MachineType) *machinev1alpha1.MachineConfiguration {
	configuration := genericactuator.ReadMachineConfiguration(pool)
	if configuration.MachineCreationTimeout == nil && machineType != nil && machineType.MachineControllerManager != nil {
		configuration.MachineCreationTimeout = machineType.MachineControllerManager.MachineCreationTimeout
	}
	if configuration.MachineCreationTimeout == nil {
		configuration.MachineCreationTimeout = &metav1.Duration{Duration: machineCreationTimeout}
	}
	return configuration
}

// autoscalerAnnotations are the pool's settings of the cluster-autoscaler. If neither pool nor Shoot says how long it waits for a
// node, it waits as long as machine-controller-manager does: it would delete machines before they could have joined.
func autoscalerAnnotations(pool extensionsv1alpha1.WorkerPool, shoot *gardencorev1beta1.Shoot, creation time.Duration) map[string]string {
	annotations := extensionsv1alpha1helper.GetMachineDeploymentClusterAutoscalerAnnotations(pool.ClusterAutoscaler)
	if pool.ClusterAutoscaler != nil && pool.ClusterAutoscaler.MaxNodeProvisionTime != nil {
		return annotations
	}
	wait := usualNodeProvisionTime
	if autoscaler := shoot.Spec.Kubernetes.ClusterAutoscaler; autoscaler != nil && autoscaler.MaxNodeProvisionTime != nil {
		wait = autoscaler.MaxNodeProvisionTime.Duration
	}
	if wait == usualNodeProvisionTime && creation > wait {
		annotations[extensionsv1alpha1.MaxNodeProvisionTimeAnnotation] = creation.String()
	}
	return annotations
}
