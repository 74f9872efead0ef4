// Package admission holds the webhooks of the Packet infrastructure types. There are few, because most rules are in the
// CustomResourceDefinitions: only what needs to know about the request itself is here.
package admission

import (
	"context"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"sigs.k8s.io/cluster-api/util/topology"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// SetupMachineTemplate adds the webhook that keeps PacketMachineTemplates as they are.
func SetupMachineTemplate(mgr ctrl.Manager) error {
	return ctrl.NewWebhookManagedBy(mgr, &infrav1.PacketMachineTemplate{}).
		WithValidator(immutable[*infrav1.PacketMachineTemplate]{spec: func(t *infrav1.PacketMachineTemplate) any { return t.Spec.Template.Spec }}).
		Complete()
}

// SetupClusterTemplate adds the webhook that keeps PacketClusterTemplates as they are.
func SetupClusterTemplate(mgr ctrl.Manager) error {
	return ctrl.NewWebhookManagedBy(mgr, &infrav1.PacketClusterTemplate{}).
		WithValidator(immutable[*infrav1.PacketClusterTemplate]{spec: func(t *infrav1.PacketClusterTemplate) any { return t.Spec.Template.Spec }}).
		Complete()
}

// immutable refuses changes of templates: what was made from one would no longer match it, and nobody would notice.
type immutable[T client.Object] struct {
	spec func(T) any
}

// ValidateCreate implements admission.Validator.
func (immutable[T]) ValidateCreate(context.Context, T) (admission.Warnings, error) { return nil, nil }

// ValidateDelete implements admission.Validator.
func (immutable[T]) ValidateDelete(context.Context, T) (admission.Warnings, error) { return nil, nil }

// ValidateUpdate implements admission.Validator.
func (v immutable[T]) ValidateUpdate(ctx context.Context, before, after T) (admission.Warnings, error) {
	request, err := admission.RequestFromContext(ctx)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("reading the admission request: %v", err))
	}
	// Cluster API finds out whether a template has to be replaced by a dry run of changing it.
	if topology.IsDryRunRequest(request, after) || reflect.DeepEqual(v.spec(before), v.spec(after)) {
		return nil, nil
	}
	kind := schema.GroupKind{Group: request.Kind.Group, Kind: request.Kind.Kind}
	return nil, apierrors.NewInvalid(kind, after.GetName(), field.ErrorList{field.Forbidden(
		field.NewPath("spec", "template", "spec"),
		"a template cannot be changed: create a new one and refer to that",
	)})
}
