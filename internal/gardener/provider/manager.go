package provider

import (
	"context"
	"fmt"
	"os"

	druidcorev1alpha1 "github.com/gardener/etcd-druid/api/core/v1alpha1"
	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	vpaautoscalingv1 "k8s.io/autoscaler/vertical-pod-autoscaler/pkg/apis/autoscaling.k8s.io/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gardener/gardener/extensions/pkg/controller"
	"github.com/gardener/gardener/extensions/pkg/util"
	"github.com/gardener/gardener/pkg/client/kubernetes"
	gardenerhealthz "github.com/gardener/gardener/pkg/healthz"

	packetv1alpha1 "github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/internal/gardener/imagevector"
)

// newManager makes the manager with all that is turned on.
func (p *program) newManager(ctx context.Context) (manager.Manager, error) {
	util.ApplyClientConnectionConfigurationToRESTConfig(p.config.ClientConnection, p.rest.Completed().Config)
	mgr, err := manager.New(p.rest.Completed().Config, p.manager.Completed().Options())
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	if err := addToScheme(mgr.GetScheme()); err != nil {
		return nil, err
	}
	if p.run.images, err = imagevector.Read(p.version); err != nil {
		return nil, err
	}
	if p.run.garden, err = addGarden(mgr); err != nil {
		return nil, err
	}
	if err := addProbes(mgr); err != nil {
		return nil, err
	}
	// The controller of ControlPlanes deploys the webhooks for shoots, so they are first.
	if p.run.shootWebhooks, err = p.webhooks.Completed().AddToManager(ctx, mgr, nil); err != nil {
		return nil, fmt.Errorf("adding the webhooks: %w", err)
	}
	if err := p.controllers.Completed().AddToManager(ctx, mgr); err != nil {
		return nil, fmt.Errorf("adding the controllers: %w", err)
	}
	return mgr, nil
}

func addToScheme(scheme *runtime.Scheme) error {
	for _, add := range []func(*runtime.Scheme) error{
		controller.AddToScheme, packetv1alpha1.AddToScheme, vpaautoscalingv1.AddToScheme, machinev1alpha1.AddToScheme,
		druidcorev1alpha1.AddToScheme, monitoringv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return fmt.Errorf("registering types: %w", err)
		}
	}
	// The machine API's own registration leaves out the types that lists and watches need.
	metav1.AddToGroupVersion(scheme, machinev1alpha1.SchemeGroupVersion)
	return nil
}

// addGarden adds the garden cluster, if gardenlet said how to reach it; otherwise it is nil. The extension needs it for nothing
// but what older gardenlets leave in ShootStates.
func addGarden(mgr manager.Manager) (cluster.Cluster, error) {
	file := os.Getenv("GARDEN_KUBECONFIG")
	if file == "" {
		return nil, nil
	}
	config, err := kubernetes.RESTConfigFromKubeconfigFile(file, kubernetes.AuthTokenFile)
	if err != nil {
		return nil, fmt.Errorf("reading GARDEN_KUBECONFIG: %w", err)
	}
	garden, err := cluster.New(config, func(options *cluster.Options) {
		options.Scheme = kubernetes.GardenScheme
		options.Logger = mgr.GetLogger()
	})
	if err != nil {
		return nil, fmt.Errorf("reaching the garden cluster: %w", err)
	}
	if err := mgr.AddHealthzCheck("garden-informer-sync", gardenerhealthz.NewCacheSyncHealthzWithDeadline(
		mgr.GetLogger(), clock.RealClock{}, garden.GetCache(), gardenerhealthz.DefaultCacheSyncDeadline)); err != nil {
		return nil, fmt.Errorf("adding a probe: %w", err)
	}
	if err := mgr.AddReadyzCheck("garden-informer-sync", gardenerhealthz.NewCacheSyncHealthz(garden.GetCache())); err != nil {
		return nil, fmt.Errorf("adding a probe: %w", err)
	}
	if err := mgr.Add(garden); err != nil {
		return nil, fmt.Errorf("adding the garden cluster: %w", err)
	}
	return garden, nil
}

func addProbes(mgr manager.Manager) error {
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("adding a probe: %w", err)
	}
	if err := mgr.AddHealthzCheck("informer-sync", gardenerhealthz.NewCacheSyncHealthzWithDeadline(
		mgr.GetLogger(), clock.RealClock{}, mgr.GetCache(), gardenerhealthz.DefaultCacheSyncDeadline)); err != nil {
		return fmt.Errorf("adding a probe: %w", err)
	}
	if err := mgr.AddReadyzCheck("informer-sync", gardenerhealthz.NewCacheSyncHealthz(mgr.GetCache())); err != nil {
		return fmt.Errorf("adding a probe: %w", err)
	}
	if err := mgr.AddReadyzCheck("webhook-server", mgr.GetWebhookServer().StartedChecker()); err != nil {
		return fmt.Errorf("adding a probe: %w", err)
	}
	return nil
}
