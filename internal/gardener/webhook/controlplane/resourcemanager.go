package controlplane

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	extensionscontextwebhook "github.com/gardener/gardener/extensions/pkg/webhook/context"
	"github.com/gardener/gardener/extensions/pkg/webhook/controlplane/genericmutator"
	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"

	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/controlplane"
)

const (
	// ResourceManagerName is the name and the path of the webhook for gardener-resource-manager.
	ResourceManagerName = "resourcemanager"

	extraNamespaceFlag = "--extra-target-namespace="
)

// NewResourceManager makes the webhook "resourcemanager". It sees the gardener-resource-manager of Shoots of type packet, which
// gardenlet does not label for the webhook of New.
//
// gardener-resource-manager, which applies what the extension has for a Shoot, reads no namespaces there but kube-system,
// kube-node-lease and kubernetes-dashboard: "unknown namespace for the cache" is its answer to an object in any other. MetalLB is in
// its own, so it is told to read that too, also where MetalLB is turned off: to remove it, it has to be read.
func NewResourceManager(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
	mutator := generic(mgr, &resourceManagerEnsurer{}, mgr.GetLogger().WithName("resourcemanager-webhook"))
	return extensionswebhook.New(mgr, extensionswebhook.Args{
		Name:   ResourceManagerName,
		Path:   ResourceManagerName,
		Target: extensionswebhook.TargetSeed,
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{
			v1beta1constants.LabelShootProvider: account.Type,
		}},
		ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{
			v1beta1constants.LabelApp: v1beta1constants.DeploymentNameGardenerResourceManager,
		}},
		Mutators: map[extensionswebhook.Mutator][]extensionswebhook.Type{mutator: {{Obj: &appsv1.Deployment{}}}},
	})
}

type resourceManagerEnsurer struct {
	genericmutator.NoopEnsurer
}

// EnsureGardenerResourceManagerDeployment has gardener-resource-manager look after MetalLB's namespace.
func (*resourceManagerEnsurer) EnsureGardenerResourceManagerDeployment(ctx context.Context, gctx extensionscontextwebhook.GardenContext, deployment, _ *appsv1.Deployment) error {
	cluster, err := gctx.GetCluster(ctx)
	if err != nil {
		return fmt.Errorf("adding the namespace of MetalLB: %w", err)
	}
	// Where a Shoot hosts itself, it has no target cluster of its own: it reads all namespaces, and would crash on the flag.
	if v1beta1helper.IsShootSelfHosted(cluster.Shoot.Spec.Provider.Workers) {
		return nil
	}
	container := extensionswebhook.ContainerWithName(deployment.Spec.Template.Spec.Containers, v1beta1constants.DeploymentNameGardenerResourceManager)
	if flag := extraNamespaceFlag + controlplane.MetalLBNamespace; container != nil && !slices.Contains(container.Args, flag) {
		container.Args = append(container.Args, flag)
	}
	return nil
}
