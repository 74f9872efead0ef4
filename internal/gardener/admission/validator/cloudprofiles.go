package validator

import (
	"context"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	gardenerutils "github.com/gardener/gardener/pkg/utils/gardener"

	"github.com/packetyard/packetyard/api/packet/validation"
	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/decode"
)

// cloudProfiles validates CloudProfiles.
type cloudProfiles struct{}

// Validate implements extensionswebhook.Validator.
func (*cloudProfiles) Validate(_ context.Context, newObj, oldObj client.Object) error {
	profile, old, err := typed[*gardencorev1beta1.CloudProfile](newObj, oldObj)
	if err != nil {
		return err
	}
	if profile.DeletionTimestamp != nil || profile.Spec.Type != account.Type || old != nil && apiequality.Semantic.DeepEqual(profile.Spec, old.Spec) {
		return nil
	}
	at := field.NewPath("spec", "providerConfig")
	if profile.Spec.ProviderConfig == nil {
		return field.Required(at, "a CloudProfileConfig, which tells the operating systems of the machine images")
	}
	config, err := decode.CloudProfileConfig(profile.Spec.ProviderConfig)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return validation.ValidateCloudProfileConfig(config, &profile.Spec, at).ToAggregate()
}

// namespacedCloudProfiles validates NamespacedCloudProfiles.
type namespacedCloudProfiles struct{ reader client.Reader }

// Validate implements extensionswebhook.Validator.
func (n *namespacedCloudProfiles) Validate(ctx context.Context, newObj, oldObj client.Object) error {
	profile, old, err := typed[*gardencorev1beta1.NamespacedCloudProfile](newObj, oldObj)
	if err != nil {
		return err
	}
	if profile.DeletionTimestamp != nil || old != nil && apiequality.Semantic.DeepEqual(profile.Spec, old.Spec) {
		return nil
	}
	if kind := profile.Spec.Parent.Kind; kind != v1beta1constants.CloudProfileReferenceKindCloudProfile {
		return field.NotSupported(field.NewPath("spec", "parent", "kind"), kind, []string{v1beta1constants.CloudProfileReferenceKindCloudProfile})
	}
	parent := &gardencorev1beta1.CloudProfile{}
	if err := n.reader.Get(ctx, client.ObjectKey{Name: profile.Spec.Parent.Name}, parent); err != nil {
		return fmt.Errorf("reading the parent CloudProfile %s: %w", profile.Spec.Parent.Name, err)
	}
	if parent.Spec.Type != account.Type {
		return nil
	}
	at := field.NewPath("spec", "providerConfig")
	config, err := decode.CloudProfileConfig(profile.Spec.ProviderConfig)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	capabilities := parent.Spec.MachineCapabilities
	spec := gardenerutils.TransformSpecToParentFormat(profile.Spec, capabilities)
	return validation.ValidateNamespacedCloudProfileConfig(validation.NamespacedInParentFormat(config, capabilities), &spec, &parent.Spec, at).ToAggregate()
}

// typed is what an admission request is about, as the type that it has to be. The old object is nil when one is created.
func typed[T client.Object](newObj, oldObj client.Object) (is, old T, err error) {
	is, ok := newObj.(T)
	if !ok {
		return is, old, fmt.Errorf("the object is %T, but must be %T", newObj, is)
	}
	if oldObj == nil {
		return is, old, nil
	}
	if old, ok = oldObj.(T); !ok {
		return is, old, fmt.Errorf("the old object is %T, but must be %T", oldObj, is)
	}
	return is, old, nil
}
