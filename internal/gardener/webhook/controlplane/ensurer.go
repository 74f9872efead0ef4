package controlplane

import (
	"context"
	"fmt"

	"github.com/Masterminds/semver/v3"
	"github.com/coreos/go-systemd/v22/unit"
	appsv1 "k8s.io/api/apps/v1"
	vpaautoscalingv1 "k8s.io/autoscaler/vertical-pod-autoscaler/pkg/apis/autoscaling.k8s.io/v1"
	kubeletconfigv1beta1 "k8s.io/kubelet/config/v1beta1"
	"k8s.io/utils/ptr"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	extensionscontextwebhook "github.com/gardener/gardener/extensions/pkg/webhook/context"
	"github.com/gardener/gardener/extensions/pkg/webhook/controlplane/genericmutator"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"github.com/gardener/gardener/pkg/component/nodemanagement/machinecontrollermanager"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

const (
	cloudProviderFlag = "--cloud-provider="
	// externalCloudProvider means that a cloud controller manager initialises nodes.
	externalCloudProvider = "external"

	creationTimeoutFlag = "--machine-creation-timeout="
	// creationTimeout is how long a server may take until its node is ready, unless the machine type or the worker pool says
	// otherwise. A server boots for minutes, is wiped and installed: Gardener's 20 minutes, meant for virtual machines, would
	// have machine-controller-manager give up servers that are about to join.
	creationTimeout = "45m"
)

// ensurer changes the programs of the control plane and the kubelet.
//
// What it leaves alone, it does on purpose. kube-apiserver: PersistentVolumeLabel, which had to be turned off, is gone since
// Kubernetes 1.31, and naming it would keep kube-apiserver from starting; nothing there reads the Secret cloudprovider.
// kube-scheduler and cluster-autoscaler: nothing depends on the provider. VPN: gardenlet passes on the node networks that the
// Infrastructure reports.
type ensurer struct {
	genericmutator.NoopEnsurer
	Options
}

// EnsureKubeControllerManagerDeployment tells kube-controller-manager that a cloud controller manager runs.
func (e *ensurer) EnsureKubeControllerManagerDeployment(_ context.Context, _ extensionscontextwebhook.GardenContext, deployment, _ *appsv1.Deployment) error {
	container := extensionswebhook.ContainerWithName(deployment.Spec.Template.Spec.Containers, v1beta1constants.DeploymentNameKubeControllerManager)
	if container == nil {
		return nil
	}
	container.Command = extensionswebhook.EnsureStringWithPrefix(container.Command, cloudProviderFlag, externalCloudProvider)
	return nil
}

// EnsureMachineControllerManagerDeployment adds the machine driver, which is the part of machine-controller-manager that makes
// devices.
func (e *ensurer) EnsureMachineControllerManagerDeployment(ctx context.Context, gctx extensionscontextwebhook.GardenContext, deployment, _ *appsv1.Deployment) error {
	cluster, err := gctx.GetCluster(ctx)
	if err != nil {
		return fmt.Errorf("adding the machine driver: %w", err)
	}
	driver := machinecontrollermanager.ProviderSidecarContainer(cluster.Shoot, deployment.Namespace, account.Name, e.MachineDriverImage)
	driver.Args = extensionswebhook.EnsureStringWithPrefix(driver.Args, creationTimeoutFlag, creationTimeout)
	pod := &deployment.Spec.Template.Spec
	pod.Containers = extensionswebhook.EnsureContainerWithName(pod.Containers, driver)
	return nil
}

// EnsureMachineControllerManagerVPA has the machine driver's memory and CPU follow its needs.
func (e *ensurer) EnsureMachineControllerManagerVPA(_ context.Context, _ extensionscontextwebhook.GardenContext, vpa, _ *vpaautoscalingv1.VerticalPodAutoscaler) error {
	if vpa.Spec.ResourcePolicy == nil {
		vpa.Spec.ResourcePolicy = &vpaautoscalingv1.PodResourcePolicy{}
	}
	policy := vpa.Spec.ResourcePolicy
	policy.ContainerPolicies = extensionswebhook.EnsureVPAContainerResourcePolicyWithName(policy.ContainerPolicies, machinecontrollermanager.ProviderSidecarVPAContainerPolicy(account.Name))
	return nil
}

// EnsureKubeletServiceUnitOptions has a new node wait, tainted, for the cloud controller manager, which gives it its addresses,
// its provider ID and its zone. The kubelet knows no other way to say this than a flag.
func (e *ensurer) EnsureKubeletServiceUnitOptions(_ context.Context, _ extensionscontextwebhook.GardenContext, _ *semver.Version, options, _ []*unit.UnitOption) ([]*unit.UnitOption, error) {
	if start := extensionswebhook.UnitOptionWithSectionAndName(options, "Service", "ExecStart"); start != nil {
		command := extensionswebhook.DeserializeCommandLine(start.Value)
		command = extensionswebhook.EnsureStringWithPrefix(command, cloudProviderFlag, externalCloudProvider)
		start.Value = extensionswebhook.SerializeCommandLine(command, 1, " \\\n    ")
	}
	return options, nil
}

// EnsureKubeletConfiguration leaves attaching volumes to the controllers, as volume drivers expect it.
func (e *ensurer) EnsureKubeletConfiguration(_ context.Context, _ extensionscontextwebhook.GardenContext, _ *semver.Version, config, _ *kubeletconfigv1beta1.KubeletConfiguration) error {
	config.EnableControllerAttachDetach = ptr.To(true)
	return nil
}
