package kubelet

import (
	"math"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/kubelet/cm"
)

// containerManager stands in for the part of the kubelet that gives pods their
// cgroups, CPUs, memory banks and devices. A machine has none of these to give.
type containerManager struct {
	cm.ContainerManager
}

func newContainerManager() cm.ContainerManager {
	return containerManager{cm.NewStubContainerManager()}
}

// GetCapacity reports the disk, so that pods which ask for a part of it find
// room; CPUs and memory come from the advisor.
func (containerManager) GetCapacity(bool) v1.ResourceList {
	return v1.ResourceList{v1.ResourceEphemeralStorage: *resource.NewQuantity(diskBytes, resource.DecimalSI)}
}

func (m containerManager) NewPodContainerManager() cm.PodContainerManager {
	return podContainerManager{m.ContainerManager.NewPodContainerManager()}
}

// podContainerManager manages the cgroups of pods, which there are none of. A pod
// that is resized in place gets what it asks for, since nothing is limited.
type podContainerManager struct {
	cm.PodContainerManager
}

// GetPodCgroupConfig tells what a pod asks for as what it has, so that there is
// nothing to resize. The kubelet takes memory, shares and quota to be there: it
// compares them also when a container that could not be started is tried again.
func (podContainerManager) GetPodCgroupConfig(pod *v1.Pod, _ v1.ResourceName) (*cm.ResourceConfig, error) {
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	limits := resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{})
	// What cgroups have where nothing is limited.
	memory, period, quota := int64(math.MaxInt64), uint64(cm.QuotaPeriod), int64(-1)
	if limit, ok := limits[v1.ResourceMemory]; ok {
		memory = limit.Value()
	}
	if limit, ok := limits[v1.ResourceCPU]; ok {
		quota = cm.MilliCPUToQuota(limit.MilliValue(), int64(period))
	}
	shares := cm.MilliCPUToShares(requests.Cpu().MilliValue())
	return &cm.ResourceConfig{Memory: &memory, CPUShares: &shares, CPUQuota: &quota, CPUPeriod: &period}, nil
}

func (podContainerManager) SetPodCgroupConfig(klog.Logger, *v1.Pod, *cm.ResourceConfig) error {
	return nil
}
