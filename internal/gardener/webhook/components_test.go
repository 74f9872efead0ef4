package webhook_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	vpaautoscalingv1 "k8s.io/autoscaler/vertical-pod-autoscaler/pkg/apis/autoscaling.k8s.io/v1"
	"k8s.io/utils/ptr"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"github.com/gardener/gardener/pkg/component/apiserver"
	"github.com/gardener/gardener/pkg/component/autoscaling/clusterautoscaler"
	"github.com/gardener/gardener/pkg/component/gardener/resourcemanager"
	kubeapiserver "github.com/gardener/gardener/pkg/component/kubernetes/apiserver"
	"github.com/gardener/gardener/pkg/component/kubernetes/controllermanager"
	"github.com/gardener/gardener/pkg/component/kubernetes/scheduler"
	"github.com/gardener/gardener/pkg/component/nodemanagement/machinecontrollermanager"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

var kubernetesVersion = semver.MustParse("1.36.1")

func container(t *testing.T, pod corev1.PodSpec, name string) corev1.Container {
	t.Helper()
	var found []corev1.Container
	for _, container := range pod.Containers {
		if container.Name == name {
			found = append(found, container)
		}
	}
	if len(found) != 1 {
		t.Fatalf("there are %d containers %s, want one, in %+v", len(found), name, pod.Containers)
	}
	return found[0]
}

func count(words []string, prefix string) (found []string) {
	for _, word := range words {
		if strings.HasPrefix(word, prefix) {
			found = append(found, word)
		}
	}
	return found
}

func TestMachineControllerManagerHasTheDriver(t *testing.T) {
	g := newPacketGardenlet(t, "mcm")
	deploy(t, machinecontrollermanager.New(g.client, g.namespace, g.secrets, machinecontrollermanager.Values{Image: "mcm:1", Replicas: 1}))

	deployment := get[appsv1.Deployment](t, g, v1beta1constants.DeploymentNameMachineControllerManager)
	driver := container(t, deployment.Spec.Template.Spec, "machine-controller-manager-provider-packet")
	if driver.Image != driverImage {
		t.Errorf("the driver's image is %s, want %s", driver.Image, driverImage)
	}
	if timeouts := count(driver.Args, "--machine-creation-timeout="); !slices.Equal(timeouts, []string{"--machine-creation-timeout=45m"}) {
		t.Errorf("a server may take %v, want 45m", timeouts)
	}
	if !slices.Contains(driver.Args, "--namespace="+g.namespace) {
		t.Errorf("the driver's arguments are %v, want the namespace %s", driver.Args, g.namespace)
	}
	for _, mount := range driver.VolumeMounts {
		if !slices.ContainsFunc(deployment.Spec.Template.Spec.Volumes, func(volume corev1.Volume) bool { return volume.Name == mount.Name }) {
			t.Errorf("the driver mounts %s, which the pod does not have", mount.Name)
		}
	}
	if deployment.Generation != 1 {
		t.Errorf("deploying it again changed it: generation %d", deployment.Generation)
	}

	vpa := get[vpaautoscalingv1.VerticalPodAutoscaler](t, g, machinecontrollermanager.VPAName)
	policies := vpa.Spec.ResourcePolicy.ContainerPolicies
	drivers := len(policies)
	policies = slices.DeleteFunc(policies, func(policy vpaautoscalingv1.ContainerResourcePolicy) bool { return policy.ContainerName == driver.Name })
	if drivers -= len(policies); drivers != 1 || len(policies) == 0 {
		t.Errorf("%d policies are for the driver, want one besides Gardener's, which are %+v", drivers, policies)
	}
}

// An update comes with Gardener's own containers alone, and the driver is there all the same, once.
func TestAPlainUpgradeKeepsTheDriver(t *testing.T) {
	g := newPacketGardenlet(t, "upgrade")
	deploy(t, machinecontrollermanager.New(g.client, g.namespace, g.secrets, machinecontrollermanager.Values{Image: "mcm:1", Replicas: 1}))
	deploy(t, machinecontrollermanager.New(g.client, g.namespace, g.secrets, machinecontrollermanager.Values{Image: "mcm:2", Replicas: 0}))

	deployment := get[appsv1.Deployment](t, g, v1beta1constants.DeploymentNameMachineControllerManager)
	container(t, deployment.Spec.Template.Spec, "machine-controller-manager-provider-packet")
	if image := container(t, deployment.Spec.Template.Spec, "machine-controller-manager").Image; image != "mcm:2" {
		t.Errorf("machine-controller-manager is %s, want mcm:2", image)
	}
	if *deployment.Spec.Replicas != 0 {
		t.Errorf("there are %d replicas, want none as in a Shoot that sleeps", *deployment.Spec.Replicas)
	}
}

func controllerManager(t *testing.T, g *gardenlet) controllermanager.Interface {
	t.Helper()
	return controllermanager.New(logr.Discard(), g.clientSet(t), g.namespace, g.secrets, controllermanager.Values{
		RuntimeVersion: kubernetesVersion, TargetVersion: kubernetesVersion, Image: "kcm:1", Replicas: 1,
		Config: &gardencorev1beta1.KubeControllerManagerConfig{}, PriorityClassName: "gardener-system-300",
	})
}

func TestKubeControllerManagerHasAnExternalCloudProvider(t *testing.T) {
	g := newPacketGardenlet(t, "kcm")
	deploy(t, controllerManager(t, g))
	deployment := get[appsv1.Deployment](t, g, v1beta1constants.DeploymentNameKubeControllerManager)
	command := container(t, deployment.Spec.Template.Spec, "kube-controller-manager").Command
	if flags := count(command, "--cloud-provider"); !slices.Equal(flags, []string{"--cloud-provider=external"}) {
		t.Errorf("the cloud provider is %v, want external", flags)
	}
	if deployment.Generation != 1 {
		t.Errorf("deploying it again changed it: generation %d", deployment.Generation)
	}
}

// What needs no change has none: it is the same as in a Shoot of another provider. That covers PersistentVolumeLabel, which kube-apiserver
// would not start with, and NODE_NETWORK, which no VPN reads.
func TestTheRestOfTheControlPlaneIsGardeners(t *testing.T) {
	packet, other := newPacketGardenlet(t, "same"), newGardenlet(t, "other", "other", nil)
	for _, g := range []*gardenlet{packet, other} {
		deploy(t, scheduler.New(g.client, g.namespace, g.secrets, "scheduler:1", 1, &gardencorev1beta1.KubeSchedulerConfig{}))
		autoscaler := clusterautoscaler.New(g.client, g.namespace, g.secrets, "ca:1", 1, nil, nil, kubernetesVersion, kubernetesVersion)
		autoscaler.SetNamespaceUID("1c6e7d0a-5b0f-4f43-9a55-2f4f7b6e9d10")
		deploy(t, autoscaler)
		deploy(t, kubeapiserver.New(g.clientSet(t), g.namespace, g.secrets, kubeapiserver.Values{
			Values:  apiserver.Values{RuntimeVersion: kubernetesVersion, ETCDEncryption: apiserver.ETCDEncryptionConfig{ResourcesToEncrypt: []string{"secrets"}}},
			Version: kubernetesVersion,
			Images:  kubeapiserver.Images{KubeAPIServer: "kas:1"},
		}))
	}
	for _, name := range []string{v1beta1constants.DeploymentNameKubeScheduler, v1beta1constants.DeploymentNameClusterAutoscaler, v1beta1constants.DeploymentNameKubeAPIServer} {
		ours, theirs := get[appsv1.Deployment](t, packet, name).Spec.Template.Spec, get[appsv1.Deployment](t, other, name).Spec.Template.Spec
		for i := range theirs.Containers {
			mine, his := ours.Containers[i], theirs.Containers[i]
			for _, pair := range [][2][]string{{mine.Command, his.Command}, {mine.Args, his.Args}} {
				expected := strings.ReplaceAll(strings.Join(pair[1], "\n"), other.namespace, packet.namespace)
				if got := strings.Join(pair[0], "\n"); got != expected {
					t.Errorf("%s runs\n%s\nwant\n%s", name, got, expected)
				}
				if strings.Contains(expected, "PersistentVolumeLabel") {
					t.Errorf("Gardener names PersistentVolumeLabel again: %s", expected)
				}
			}
		}
		if len(ours.Containers) != len(theirs.Containers) {
			t.Errorf("%s has %d containers, want %d", name, len(ours.Containers), len(theirs.Containers))
		}
	}
}

func resourceManager(g *gardenlet) resourcemanager.Interface {
	return resourcemanager.New(g.client, g.namespace, g.secrets, resourcemanager.Values{
		Image: "grm:1", Replicas: ptr.To(int32(1)), ResponsibilityMode: resourcemanager.ForShootOrVirtualGarden,
		TargetNamespaces: []string{"kube-system"}, WatchedNamespace: &g.namespace, SecretNameServerCA: v1beta1constants.SecretNameCACluster,
		RuntimeKubernetesVersion: kubernetesVersion, LogLevel: "info", LogFormat: "json",
	})
}

func TestGardenerResourceManagerReadsTheNamespaceOfMetalLB(t *testing.T) {
	g := newPacketGardenlet(t, "grm")
	deploy(t, resourceManager(g))
	deployment := get[appsv1.Deployment](t, g, v1beta1constants.DeploymentNameGardenerResourceManager)
	args := container(t, deployment.Spec.Template.Spec, "gardener-resource-manager").Args
	if flags := count(args, "--extra-target-namespace"); !slices.Equal(flags, []string{"--extra-target-namespace=metallb-system"}) {
		t.Errorf("the extra namespaces are %v, want metallb-system", flags)
	}
	if deployment.Generation != 1 {
		t.Errorf("deploying it again changed it: generation %d", deployment.Generation)
	}
}

// The gardener-resource-manager of a Shoot that hosts itself crashes on the flag.
func TestGardenerResourceManagerOfASelfHostedShootIsLeftAlone(t *testing.T) {
	g := newGardenlet(t, "selfhosted", account.Type, func(_ *gardencorev1beta1.CloudProfile, shoot *gardencorev1beta1.Shoot) {
		shoot.Spec.Provider.Workers = []gardencorev1beta1.Worker{{Name: "cp", ControlPlane: &gardencorev1beta1.WorkerControlPlane{}}}
	})
	deploy(t, resourceManager(g))
	deployment := get[appsv1.Deployment](t, g, v1beta1constants.DeploymentNameGardenerResourceManager)
	if flags := count(container(t, deployment.Spec.Template.Spec, "gardener-resource-manager").Args, "--extra-target-namespace"); len(flags) > 0 {
		t.Errorf("the extra namespaces are %v, want none", flags)
	}
}
