// Package worker makes the machines of Shoots: for every worker pool of a Worker and every zone of the pool a MachineDeployment
// with its MachineClass, from which machine-controller-manager and the Packet machine driver make devices. What is the same for
// all providers is Gardener's generic actuator; here is what a Packet machine is made of.
package worker

import (
	"context"
	"fmt"
	"slices"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gardener/gardener/extensions/pkg/controller/worker"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

// AddOptions tell how the controller runs.
type AddOptions struct {
	// Controller are the options of the controller, such as how many Workers are reconciled at a time.
	Controller controller.Options
	// GardenCluster is the garden, or nil. It is asked for nothing but the ShootState of a Shoot that comes from a seed with an
	// older gardenlet.
	GardenCluster cluster.Cluster
	// IgnoreOperationAnnotation has Workers reconciled whenever they change, rather than when gardenlet says so.
	IgnoreOperationAnnotation bool
	// ExtensionClasses are those of this deployment of the extension. Workers are of class shoot only.
	ExtensionClasses []extensionsv1alpha1.ExtensionClass
	// SelfHostedShootCluster says that the extension runs in the Shoot that it works for, where there may be no machine API.
	SelfHostedShootCluster bool
	// APIURL is where the Packet API answers if neither the Secret of the Shoot nor the CloudProfile says so.
	APIURL string
}

// AddToManager adds the controller to a manager, and the machine API to the manager's scheme.
func AddToManager(ctx context.Context, mgr manager.Manager, options AddOptions) error {
	if err := machinev1alpha1.AddToScheme(mgr.GetScheme()); err != nil {
		return fmt.Errorf("adding the machine API to the scheme: %w", err)
	}
	// The machine API's own registration leaves out the types that lists and watches need.
	metav1.AddToGroupVersion(mgr.GetScheme(), machinev1alpha1.SchemeGroupVersion)

	classes := slices.DeleteFunc(slices.Clone(options.ExtensionClasses), func(class extensionsv1alpha1.ExtensionClass) bool {
		return class != extensionsv1alpha1.ExtensionClassShoot
	})
	return worker.Add(ctx, mgr, worker.AddArgs{
		Actuator:                  newActuator(mgr, options.GardenCluster, options.APIURL),
		ControllerOptions:         options.Controller,
		Predicates:                worker.DefaultPredicates(ctx, mgr, options.IgnoreOperationAnnotation),
		Type:                      account.Type,
		IgnoreOperationAnnotation: options.IgnoreOperationAnnotation,
		ExtensionClasses:          classes,
		SelfHostedShootCluster:    options.SelfHostedShootCluster,
	})
}
