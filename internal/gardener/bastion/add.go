package bastion

import (
	"context"
	"fmt"
	"time"

	extensionsbastion "github.com/gardener/gardener/extensions/pkg/controller/bastion"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/infrastructure"
)

// AddOptions say how the controller works.
type AddOptions struct {
	// Controller is passed on. Without a rate limiter it gets one that waits a second after the first failure and ten minutes
	// at most.
	Controller controller.Options
	// IgnoreOperationAnnotation reconciles also what nobody has asked for by an annotation.
	IgnoreOperationAnnotation bool
	// ExtensionClasses are those of the resources that this controller is for.
	ExtensionClasses []extensionsv1alpha1.ExtensionClass
	// APIURL is where the Packet API answers, unless the Secret or the CloudProfile says so.
	APIURL string
}

// AddToManager adds the controller for Bastions of type packet.
func AddToManager(_ context.Context, mgr manager.Manager, opts AddOptions) error {
	if opts.Controller.RateLimiter == nil {
		opts.Controller.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](time.Second, 10*time.Minute)
	}
	connector := infrastructure.NewConnector(mgr.GetAPIReader(), opts.APIURL)
	if err := extensionsbastion.Add(mgr, extensionsbastion.AddArgs{
		Actuator:          NewActuator(mgr.GetClient(), connector),
		ConfigValidator:   ConfigValidator{},
		ControllerOptions: opts.Controller,
		Predicates:        extensionsbastion.DefaultPredicates(opts.IgnoreOperationAnnotation),
		Type:              account.Type,
		ExtensionClasses:  opts.ExtensionClasses,
	}); err != nil {
		return fmt.Errorf("adding the controller for Bastions: %w", err)
	}
	return nil
}
