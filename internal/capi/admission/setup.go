package admission

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// SetupWithManager adds all webhooks of the Packet infrastructure types to the manager's webhook server.
func SetupWithManager(mgr ctrl.Manager) error {
	return errors.Join(
		setup(mgr, &infrav1.PacketCluster{}, packetCluster()),
		setup(mgr, &infrav1.PacketClusterTemplate{}, packetClusterTemplate()),
		setup(mgr, &infrav1.PacketMachine{}, packetMachine()),
		setup(mgr, &infrav1.PacketMachineTemplate{}, packetMachineTemplate()),
		setup(mgr, &infrav1.PacketMachinePool{}, packetMachinePool()),
		setup(mgr, &infrav1.PacketMachinePoolTemplate{}, packetMachinePoolTemplate()),
		setup(mgr, &infrav1.PacketRemediationTemplate{}, packetRemediationTemplate()),
	)
}

func setup[T client.Object](mgr ctrl.Manager, object T, v validator[T]) error {
	if err := ctrl.NewWebhookManagedBy(mgr, object).WithValidator(v).Complete(); err != nil {
		return fmt.Errorf("adding the webhook of %T: %w", object, err)
	}
	return nil
}

// validator checks the objects of one kind.
type validator[T client.Object] struct {
	// spec is what the rules are about: an update that does not change it is not checked.
	spec func(T) any
	// check tells what is wrong with an object by itself.
	check func(T) field.ErrorList
	// change tells what is wrong with an update; nil if nothing can be.
	change func(request admission.Request, before, after T) field.ErrorList
	// warn tells what is allowed and probably not meant; nil if nothing is.
	warn func(T) admission.Warnings
}

var _ admission.Validator[*infrav1.PacketMachine] = validator[*infrav1.PacketMachine]{}

// ValidateCreate implements admission.Validator.
func (v validator[T]) ValidateCreate(ctx context.Context, object T) (admission.Warnings, error) {
	return v.answer(ctx, object, v.check(object))
}

// ValidateUpdate implements admission.Validator.
func (v validator[T]) ValidateUpdate(ctx context.Context, before, after T) (admission.Warnings, error) {
	if reflect.DeepEqual(v.spec(before), v.spec(after)) {
		return nil, nil
	}
	errs := v.check(after)
	if v.change != nil {
		request, err := admission.RequestFromContext(ctx)
		if err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("reading the admission request: %v", err))
		}
		errs = append(errs, v.change(request, before, after)...)
	}
	return v.answer(ctx, after, errs)
}

// ValidateDelete implements admission.Validator.
func (validator[T]) ValidateDelete(context.Context, T) (admission.Warnings, error) { return nil, nil }

func (v validator[T]) answer(ctx context.Context, object T, errs field.ErrorList) (admission.Warnings, error) {
	var warnings admission.Warnings
	if v.warn != nil {
		warnings = v.warn(object)
	}
	if len(errs) == 0 {
		return warnings, nil
	}
	request, err := admission.RequestFromContext(ctx)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("reading the admission request: %v", err))
	}
	return warnings, apierrors.NewInvalid(groupKind(request), object.GetName(), errs)
}
