package worker

import (
	"maps"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
)

// resourceGPU is the name by which Gardener and its cluster-autoscaler count GPUs.
const resourceGPU corev1.ResourceName = "gpu"

// nodeTemplate tells the cluster-autoscaler what a machine of the pool would offer, so that it can make the first one. What the
// WorkerConfig says goes before what gardenlet found in the CloudProfile, resource by resource. If nobody knows anything there is
// no template, and the pool cannot be scaled up from nothing.
func nodeTemplate(
	pool extensionsv1alpha1.WorkerPool, config *v1alpha1.WorkerConfig, machineType *gardencorev1beta1.MachineType, region string, p place,
) *machinev1alpha1.NodeTemplate {
	capacity, virtual := corev1.ResourceList{}, corev1.ResourceList{}
	if machineType != nil {
		capacity[corev1.ResourceCPU] = machineType.CPU
		capacity[corev1.ResourceMemory] = machineType.Memory
		capacity[resourceGPU] = machineType.GPU
		if machineType.Storage != nil && machineType.Storage.StorageSize != nil {
			capacity[corev1.ResourceEphemeralStorage] = *machineType.Storage.StorageSize
		}
	}
	for _, template := range []*extensionsv1alpha1.NodeTemplate{pool.NodeTemplate, config.NodeTemplate} {
		if template != nil {
			maps.Copy(capacity, template.Capacity)
			maps.Copy(virtual, template.VirtualCapacity)
		}
	}
	if len(capacity) == 0 {
		return nil
	}
	if len(virtual) == 0 {
		virtual = nil
	}
	return &machinev1alpha1.NodeTemplate{
		Capacity:        capacity,
		VirtualCapacity: virtual,
		InstanceType:    pool.MachineType,
		Region:          region,
		Zone:            p.zone,
		Architecture:    ptr.To(architectureOf(pool)),
	}
}
