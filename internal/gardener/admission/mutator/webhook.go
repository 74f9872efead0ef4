// Package mutator fills in, in the garden cluster, what Gardener leaves to the extension of a provider.
package mutator

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

const (
	// Name is that of the webhook.
	Name = "mutator"

	path = "/webhooks/mutate"
)

// Options are what the mutators need besides the manager: nothing so far.
type Options struct{}

// New is the webhook that fills in Shoots, and the status of NamespacedCloudProfiles. The manager's scheme has to have
// core.gardener.cloud/v1beta1.
func New(mgr manager.Manager, _ Options) (*extensionswebhook.Webhook, error) {
	status := "status"
	webhook, err := extensionswebhook.New(mgr, extensionswebhook.Args{
		Name: Name,
		Path: path,
		Mutators: map[extensionswebhook.Mutator][]extensionswebhook.Type{
			&shoots{}:                  {{Obj: &gardencorev1beta1.Shoot{}}},
			&namespacedCloudProfiles{}: {{Obj: &gardencorev1beta1.NamespacedCloudProfile{}, Subresource: &status}},
		},
		Target:         extensionswebhook.TargetSeed,
		ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{v1beta1constants.LabelExtensionProviderTypePrefix + account.Type: "true"}},
	})
	if err != nil {
		return nil, fmt.Errorf("making the webhook %s: %w", Name, err)
	}
	return webhook, nil
}
