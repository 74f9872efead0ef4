package controlplane

import (
	"testing"

	"github.com/coreos/go-systemd/v22/unit"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	vpaautoscalingv1 "k8s.io/autoscaler/vertical-pod-autoscaler/pkg/apis/autoscaling.k8s.io/v1"
	kubeletconfigv1beta1 "k8s.io/kubelet/config/v1beta1"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	extensionscontextwebhook "github.com/gardener/gardener/extensions/pkg/webhook/context"
	"github.com/gardener/gardener/extensions/pkg/webhook/controlplane/genericmutator"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
)

func shootContext() extensionscontextwebhook.GardenContext {
	return extensionscontextwebhook.NewInternalGardenContext(&extensionscontroller.Cluster{Shoot: &gardencorev1beta1.Shoot{}})
}

// What is created has no former state, and what is not as Gardener makes it today must not be the end of the extension.
func TestANilOldDeploymentIsNoPanic(t *testing.T) {
	ctx, gctx := t.Context(), shootContext()
	for _, e := range []genericmutator.Ensurer{&ensurer{Options: Options{MachineDriverImage: "driver:1"}}, &resourceManagerEnsurer{}} {
		for _, containers := range [][]corev1.Container{nil, {{Name: "kube-controller-manager"}}, {{Name: "gardener-resource-manager"}}} {
			deployment := &appsv1.Deployment{}
			deployment.Spec.Template.Spec.Containers = containers
			statefulSet := &appsv1.StatefulSet{}
			statefulSet.Spec.Template.Spec.Containers = containers
			options, err := e.EnsureKubeletServiceUnitOptions(ctx, gctx, nil, []*unit.UnitOption{{Section: "Unit", Name: "After", Value: "x"}}, nil)
			if err != nil || len(options) != 1 {
				t.Errorf("a unit without a command: got %v, %v", options, err)
			}
			for what, err := range map[string]error{
				"kube-apiserver":             e.EnsureKubeAPIServerDeployment(ctx, gctx, deployment, nil),
				"kube-controller-manager":    e.EnsureKubeControllerManagerDeployment(ctx, gctx, deployment, nil),
				"kube-scheduler":             e.EnsureKubeSchedulerDeployment(ctx, gctx, deployment, nil),
				"cluster-autoscaler":         e.EnsureClusterAutoscalerDeployment(ctx, gctx, deployment, nil),
				"machine-controller-manager": e.EnsureMachineControllerManagerDeployment(ctx, gctx, deployment, nil),
				"its VPA":                    e.EnsureMachineControllerManagerVPA(ctx, gctx, &vpaautoscalingv1.VerticalPodAutoscaler{}, nil),
				"vpn-seed-server":            e.EnsureVPNSeedServerDeployment(ctx, gctx, deployment, nil),
				"highly available VPN":       e.EnsureVPNSeedServerStatefulSet(ctx, gctx, statefulSet, nil),
				"gardener-resource-manager":  e.EnsureGardenerResourceManagerDeployment(ctx, gctx, deployment, nil),
				"the kubelet":                e.EnsureKubeletConfiguration(ctx, gctx, nil, &kubeletconfigv1beta1.KubeletConfiguration{}, nil),
			} {
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	for name, options := range map[string]Options{"no image": {}, "a bad URL": {MachineDriverImage: "driver:1", MetadataURL: "metadata.packet.net"}} {
		if _, err := newMutator(nil, options); err == nil {
			t.Errorf("%s: there is no error", name)
		}
	}
}
