package kubelet

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// A container that could not be started at once, because the kubelet had not
// read all Services yet, ended the kubelet at the second try, for ever: it
// looked up what the pod's cgroup has, and there was nothing to look at.
func TestKubeletPanickedWhenAContainerStartedLate(t *testing.T) {
	manager := newContainerManager().NewPodContainerManager()
	for name, container := range map[string]v1.Container{
		"nothing": {},
		"requests": {Resources: v1.ResourceRequirements{Requests: v1.ResourceList{
			v1.ResourceCPU: resource.MustParse("10m"), v1.ResourceMemory: resource.MustParse("32Mi"),
		}}},
		"limits": {Resources: v1.ResourceRequirements{Limits: v1.ResourceList{
			v1.ResourceCPU: resource.MustParse("500m"), v1.ResourceMemory: resource.MustParse("32Mi"),
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []v1.ResourceName{v1.ResourceCPU, v1.ResourceMemory} {
				config, err := manager.GetPodCgroupConfig(&v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{container}}}, kind)
				if err != nil || config == nil || config.Memory == nil || config.CPUShares == nil || config.CPUQuota == nil || config.CPUPeriod == nil {
					t.Fatalf("%s: %+v, %v; want all of it", kind, config, err)
				}
				if limit, ok := container.Resources.Limits[v1.ResourceMemory]; ok && *config.Memory != limit.Value() {
					t.Errorf("the memory is %d, want %s", *config.Memory, limit.String())
				}
				if _, ok := container.Resources.Limits[v1.ResourceCPU]; ok && *config.CPUQuota != 50000 {
					t.Errorf("the quota is %d, want half of the period", *config.CPUQuota)
				}
			}
		})
	}
}
