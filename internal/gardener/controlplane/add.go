// Package controlplane is the controller of ControlPlanes of the type packet: it has the cloud controller manager of a Shoot run in
// the seed, and gives the Shoot the rights that it needs, and MetalLB. Gardener's generic actuator does the work; here is what it
// deploys.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	"github.com/gardener/gardener/extensions/pkg/controller/controlplane"
	"github.com/gardener/gardener/extensions/pkg/controller/controlplane/genericactuator"
	"github.com/gardener/gardener/extensions/pkg/util"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	gardenerimagevector "github.com/gardener/gardener/pkg/utils/imagevector"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

// AddOptions are what the controller needs beside the manager.
type AddOptions struct {
	// Controller are the options of the controller itself, such as how many ControlPlanes are looked at at once.
	Controller controller.Options
	// IgnoreOperationAnnotation has the controller act on every change, and not only where gardenlet asks for it.
	IgnoreOperationAnnotation bool
	// ExtensionClasses are those that the extension serves. Control planes are there for Shoots alone: others are left out.
	ExtensionClasses []extensionsv1alpha1.ExtensionClass
	// APIURL is where the Packet API answers if neither the Secret nor the CloudProfile says so. It can be empty.
	APIURL string
	// ImageVector has the images, see package imagevector. It is required.
	ImageVector gardenerimagevector.ImageVector
	// ShootWebhookConfig is what the webhooks for Shoots were registered as, a *webhook.Configs. It is nil without such webhooks.
	ShootWebhookConfig *atomic.Value
	// WebhookServerNamespace is where the server of the webhooks runs.
	WebhookServerNamespace string
}

// AddToManager adds the controller to a manager. An error is a mistake in the options, or an API server that does not answer.
func AddToManager(ctx context.Context, mgr manager.Manager, options AddOptions) error {
	if len(options.ImageVector) == 0 {
		return errors.New("adding the ControlPlane controller: the image vector is empty")
	}
	dashboard, err := dashboard()
	if err != nil {
		return fmt.Errorf("adding the ControlPlane controller: %w", err)
	}
	actuator, err := genericactuator.NewActuator(mgr, account.Name,
		secretConfigs, shootAccessSecrets,
		// There is no configuration chart: the cloud controller manager has all of it on its command line, and in the account's
		// Secret. There is no chart of StorageClasses either: no CSI driver exists for Packet, whose block storage ended in 2021.
		nil, controlPlaneChart(), controlPlaneShootChart(), controlPlaneShootCRDsChart(), nil,
		&valuesProvider{reader: mgr.GetClient(), apiURL: options.APIURL, dashboard: dashboard},
		extensionscontroller.ChartRendererFactoryFunc(util.NewChartRendererForShoot),
		options.ImageVector, "", options.ShootWebhookConfig, options.WebhookServerNamespace)
	if err != nil {
		return fmt.Errorf("making the actuator of ControlPlanes: %w", err)
	}
	if err := controlplane.Add(mgr, controlplane.AddArgs{
		Actuator:                  actuator,
		ControllerOptions:         options.Controller,
		Predicates:                controlplane.DefaultPredicates(ctx, mgr, options.IgnoreOperationAnnotation),
		Type:                      account.Type,
		IgnoreOperationAnnotation: options.IgnoreOperationAnnotation,
		ExtensionClasses:          onlyShoots(options.ExtensionClasses),
	}); err != nil {
		return fmt.Errorf("adding the ControlPlane controller: %w", err)
	}
	return nil
}

// onlyShoots are the classes among these that have control planes of this kind. The caller's slice stays as it is.
func onlyShoots(classes []extensionsv1alpha1.ExtensionClass) []extensionsv1alpha1.ExtensionClass {
	return slices.DeleteFunc(slices.Clone(classes), func(class extensionsv1alpha1.ExtensionClass) bool {
		return class != extensionsv1alpha1.ExtensionClassShoot
	})
}
