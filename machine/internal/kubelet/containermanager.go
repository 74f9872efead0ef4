package kubelet

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
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

// GetPodCgroupConfig knows nothing, as upstream's does where pods have no cgroup.
func (podContainerManager) GetPodCgroupConfig(*v1.Pod, v1.ResourceName) (*cm.ResourceConfig, error) {
	return nil, nil
}

func (podContainerManager) SetPodCgroupConfig(klog.Logger, *v1.Pod, *cm.ResourceConfig) error {
	return nil
}
