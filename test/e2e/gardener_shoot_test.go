//go:build e2e

package e2e

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
)

// newShoot is what a Shoot's owner writes, and its CloudProfile's.
func newShoot(name, apiURL string) (*gardencorev1beta1.CloudProfile, *gardencorev1beta1.Shoot) {
	machineType := func(name, cpu, memory string) gardencorev1beta1.MachineType {
		return gardencorev1beta1.MachineType{Name: name, CPU: resource.MustParse(cpu), GPU: resource.MustParse("0"), Memory: resource.MustParse(memory), Architecture: ptr.To("amd64")}
	}
	profile := &gardencorev1beta1.CloudProfile{
		ObjectMeta: metav1.ObjectMeta{Name: "packet"},
		Spec: gardencorev1beta1.CloudProfileSpec{
			Type:         "packet",
			Regions:      []gardencorev1beta1.Region{{Name: "da"}},
			MachineTypes: []gardencorev1beta1.MachineType{machineType("c3.small.x86", "8", "32Gi"), machineType("c3.medium.x86", "24", "64Gi")},
			ProviderConfig: &runtime.RawExtension{Raw: []byte(`{"apiVersion": "packet.provider.extensions.gardener.cloud/v1alpha1", "kind": "CloudProfileConfig",
				"apiURL": "` + apiURL + `", "machineImages": [{"name": "ubuntu", "versions": [{"version": "24.4.0", "id": "ubuntu_24_04"}]}]}`)},
		},
	}
	shoot := &gardencorev1beta1.Shoot{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "garden-em", UID: "5f0d2c3a-1c1e-4f0f-8f7e-6a3f0d5b9c11"},
		Spec: gardencorev1beta1.ShootSpec{
			Region:      "da",
			Kubernetes:  gardencorev1beta1.Kubernetes{Version: "1.36.4"},
			Networking:  &gardencorev1beta1.Networking{Pods: ptr.To("192.168.0.0/16"), Services: ptr.To("172.26.0.0/16")},
			Hibernation: &gardencorev1beta1.Hibernation{Enabled: ptr.To(false)},
			Provider: gardencorev1beta1.Provider{
				Type:                 "packet",
				InfrastructureConfig: providerConfig("InfrastructureConfig"),
				ControlPlaneConfig:   providerConfig("ControlPlaneConfig"),
				Workers: []gardencorev1beta1.Worker{{
					Name: "workers", Minimum: 1, Maximum: 1, MaxSurge: ptr.To(intOrString(1)), MaxUnavailable: ptr.To(intOrString(0)),
					Machine: gardencorev1beta1.Machine{
						Type: "c3.small.x86", Architecture: ptr.To("amd64"),
						Image: &gardencorev1beta1.ShootMachineImage{Name: "ubuntu", Version: ptr.To("24.4.0")},
					},
					CRI:              &gardencorev1beta1.CRI{Name: gardencorev1beta1.CRINameContainerD},
					SystemComponents: &gardencorev1beta1.WorkerSystemComponents{Allow: true},
				}},
			},
		},
		Status: gardencorev1beta1.ShootStatus{
			TechnicalID: "shoot--em--" + name, UID: "5f0d2c3a-1c1e-4f0f-8f7e-6a3f0d5b9c11",
			ClusterIdentity: ptr.To("shoot--em--" + name + "-garden"),
			LastOperation: &gardencorev1beta1.LastOperation{
				Type: gardencorev1beta1.LastOperationTypeReconcile, State: gardencorev1beta1.LastOperationStateProcessing, LastUpdateTime: metav1.Now(),
			},
		},
	}
	return profile, shoot
}

func providerConfig(kind string) *runtime.RawExtension {
	return &runtime.RawExtension{Raw: []byte(`{"apiVersion": "packet.provider.extensions.gardener.cloud/v1alpha1", "kind": "` + kind + `"}`)}
}

func intOrString(number int32) intstr.IntOrString { return intstr.FromInt32(number) }
