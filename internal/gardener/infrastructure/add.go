package infrastructure

import (
	"context"
	"fmt"
	"time"

	extensionsinfrastructure "github.com/gardener/gardener/extensions/pkg/controller/infrastructure"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/faults"
)

// AddOptions say how the controller works.
type AddOptions struct {
	// Controller is passed on. Without a rate limiter it gets one that waits a second after the first failure and ten minutes
	// at most: each attempt costs a request to the Packet API.
	Controller controller.Options
	// IgnoreOperationAnnotation reconciles also what gardenlet has not asked for.
	IgnoreOperationAnnotation bool
	// ExtensionClasses are those of the resources that this controller is for.
	ExtensionClasses []extensionsv1alpha1.ExtensionClass
	// APIURL is where the Packet API answers, unless the Secret or the CloudProfile says so.
	APIURL string
}

// AddToManager adds the controller for Infrastructures of type packet.
func AddToManager(ctx context.Context, mgr manager.Manager, opts AddOptions) error {
	if opts.Controller.RateLimiter == nil {
		opts.Controller.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](time.Second, 10*time.Minute)
	}
	connector := NewConnector(mgr.GetAPIReader(), opts.APIURL)
	if err := extensionsinfrastructure.Add(mgr, extensionsinfrastructure.AddArgs{
		Actuator:                  NewActuator(mgr.GetClient(), mgr.GetAPIReader(), connector),
		ConfigValidator:           NewConfigValidator(mgr.GetClient(), connector),
		ControllerOptions:         opts.Controller,
		Predicates:                extensionsinfrastructure.DefaultPredicates(ctx, mgr, opts.IgnoreOperationAnnotation),
		Type:                      account.Type,
		IgnoreOperationAnnotation: opts.IgnoreOperationAnnotation,
		ExtensionClasses:          opts.ExtensionClasses,
		KnownCodes:                faults.KnownCodes,
	}); err != nil {
		return fmt.Errorf("adding the controller for Infrastructures: %w", err)
	}
	return nil
}
