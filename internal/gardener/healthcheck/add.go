// Package healthcheck tells in the conditions of ControlPlanes and Workers of the type packet whether what the extension runs for
// a Shoot is healthy. gardenlet makes the conditions of the Shoot out of them. Gardener's library looks at no Shoot that is
// hibernated.
package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	healthcheckconfigv1alpha1 "github.com/gardener/gardener/extensions/pkg/apis/config/v1alpha1"
	"github.com/gardener/gardener/extensions/pkg/controller/controlplane/genericactuator"
	"github.com/gardener/gardener/extensions/pkg/controller/healthcheck"
	"github.com/gardener/gardener/extensions/pkg/controller/healthcheck/general"
	"github.com/gardener/gardener/extensions/pkg/controller/healthcheck/worker"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/controlplane"
)

// defaultSyncPeriod is how often is looked if the configuration does not say.
const defaultSyncPeriod = 30 * time.Second

// AddOptions are what the controllers need beside the manager.
type AddOptions struct {
	// Controller are the options of the two controllers, such as how many resources are looked at at once.
	Controller controller.Options
	// ExtensionClasses are those that the extension serves. Only Shoots have health of this kind: others are left out.
	ExtensionClasses []extensionsv1alpha1.ExtensionClass
	// Config is healthCheckConfig of the extension's configuration file. It may be nil. A period of nothing is 30 seconds.
	Config *healthcheckconfigv1alpha1.HealthCheckConfig
}

// AddToManager adds the health checks to a manager.
func AddToManager(_ context.Context, mgr manager.Manager, options AddOptions) error {
	arguments, err := options.arguments()
	if err != nil {
		return fmt.Errorf("adding the health checks: %w", err)
	}
	if err := healthcheck.DefaultRegistration(
		account.Type,
		extensionsv1alpha1.SchemeGroupVersion.WithKind(extensionsv1alpha1.ControlPlaneResource),
		func() client.ObjectList { return &extensionsv1alpha1.ControlPlaneList{} },
		func() extensionsv1alpha1.Object { return &extensionsv1alpha1.ControlPlane{} },
		mgr, arguments, nil, controlPlaneChecks(), sets.New[gardencorev1beta1.ConditionType](),
	); err != nil {
		return fmt.Errorf("adding the health checks of ControlPlanes: %w", err)
	}
	if err := healthcheck.DefaultRegistration(
		account.Type,
		extensionsv1alpha1.SchemeGroupVersion.WithKind(extensionsv1alpha1.WorkerResource),
		func() client.ObjectList { return &extensionsv1alpha1.WorkerList{} },
		func() extensionsv1alpha1.Object { return &extensionsv1alpha1.Worker{} },
		mgr, arguments, nil, workerChecks(), sets.New[gardencorev1beta1.ConditionType](),
	); err != nil {
		return fmt.Errorf("adding the health checks of Workers: %w", err)
	}
	return nil
}

// arguments are the options in the library's form, with their defaults.
func (o AddOptions) arguments() (healthcheck.DefaultAddArgs, error) {
	arguments := healthcheck.DefaultAddArgs{
		Controller: o.Controller,
		ExtensionClasses: slices.DeleteFunc(slices.Clone(o.ExtensionClasses), func(class extensionsv1alpha1.ExtensionClass) bool {
			return class != extensionsv1alpha1.ExtensionClassShoot
		}),
	}
	if o.Config != nil {
		arguments.HealthCheckConfig = *o.Config.DeepCopy()
	}
	switch period := &arguments.HealthCheckConfig.SyncPeriod; {
	case period.Duration < 0:
		return healthcheck.DefaultAddArgs{}, errors.New("healthCheckConfig.syncPeriod is " + period.Duration.String() + ", it must be more than 0s")
	case period.Duration == 0:
		*period = metav1.Duration{Duration: defaultSyncPeriod}
	}
	return arguments, nil
}

// controlPlaneChecks look at what the ControlPlane controller deploys.
func controlPlaneChecks() []healthcheck.ConditionTypeToHealthCheck {
	return []healthcheck.ConditionTypeToHealthCheck{
		{
			ConditionType: string(gardencorev1beta1.ShootControlPlaneHealthy),
			HealthCheck:   general.NewSeedDeploymentHealthChecker(controlplane.CloudControllerManager),
		},
		{
			ConditionType: string(gardencorev1beta1.ShootSystemComponentsHealthy),
			HealthCheck:   general.CheckManagedResource(genericactuator.ControlPlaneShootChartResourceName),
		},
		{
			ConditionType: string(gardencorev1beta1.ShootSystemComponentsHealthy),
			HealthCheck:   general.CheckManagedResource(genericactuator.ControlPlaneShootCRDsChartResourceName),
		},
	}
}

// workerChecks look at the machines.
func workerChecks() []healthcheck.ConditionTypeToHealthCheck {
	return []healthcheck.ConditionTypeToHealthCheck{{
		ConditionType: string(gardencorev1beta1.ShootEveryNodeReady),
		HealthCheck:   worker.NewNodesChecker(),
	}}
}
