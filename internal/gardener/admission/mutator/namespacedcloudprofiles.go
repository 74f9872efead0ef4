package mutator

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/api/packet/validation"
	"github.com/packetyard/packetyard/internal/gardener/decode"
)

// namespacedCloudProfiles puts into the status of a NamespacedCloudProfile the providerConfig of its parent with its own: Gardener's
// controller merges the rest of the profiles, and cannot read what is the provider's.
type namespacedCloudProfiles struct{}

// Mutate implements extensionswebhook.Mutator.
func (*namespacedCloudProfiles) Mutate(_ context.Context, newObj, _ client.Object) error {
	profile, ok := newObj.(*gardencorev1beta1.NamespacedCloudProfile)
	if !ok {
		return fmt.Errorf("the object is %T, but must be %T", newObj, profile)
	}
	// Until Gardener's controller has seen this generation, the status is another one's.
	if profile.DeletionTimestamp != nil || profile.Generation != profile.Status.ObservedGeneration || profile.Spec.ProviderConfig == nil {
		return nil
	}
	merged, err := decode.CloudProfileConfig(profile.Status.CloudProfileSpec.ProviderConfig)
	if err != nil {
		return fmt.Errorf("status.cloudProfileSpec.providerConfig, which is the parent's: %w", err)
	}
	own, err := decode.CloudProfileConfig(profile.Spec.ProviderConfig)
	if err != nil {
		return fmt.Errorf("spec.providerConfig: %w", err)
	}
	merge(merged, validation.NamespacedInParentFormat(own, profile.Status.CloudProfileSpec.MachineCapabilities))
	encoded, err := decode.Encode(merged)
	if err != nil {
		return fmt.Errorf("writing status.cloudProfileSpec.providerConfig: %w", err)
	}
	profile.Status.CloudProfileSpec.ProviderConfig = encoded
	return nil
}

// merge adds what a NamespacedCloudProfile has to what its parent has. Where both have a version, as when the status was merged
// before, the NamespacedCloudProfile's counts. The order is the parent's, then the other's, so that merging twice changes nothing.
func merge(into, own *v1alpha1.CloudProfileConfig) {
	if own.APIURL != nil {
		into.APIURL = own.APIURL
	}
	if own.MetadataURL != nil {
		into.MetadataURL = own.MetadataURL
	}
	for _, image := range own.MachineImages {
		at := slices.IndexFunc(into.MachineImages, func(has v1alpha1.MachineImages) bool { return has.Name == image.Name })
		if at < 0 {
			into.MachineImages = append(into.MachineImages, image)
			continue
		}
		versions := slices.DeleteFunc(into.MachineImages[at].Versions, func(has v1alpha1.MachineImageVersion) bool {
			return slices.ContainsFunc(image.Versions, func(new v1alpha1.MachineImageVersion) bool { return new.Version == has.Version })
		})
		into.MachineImages[at].Versions = append(versions, image.Versions...)
	}
}
