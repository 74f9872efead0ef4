// Package validator refuses what Gardener's API server takes but the Packet extension could not do: in the garden cluster, before it
// is stored, with a text that says which field is wrong and what is allowed. It never asks the Packet API.
package validator

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	securityv1alpha1 "github.com/gardener/gardener/pkg/apis/security/v1alpha1"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

const (
	// Name is that of the webhook for what Gardener serves.
	Name = "validator"
	// SecretsName is that of the webhook for Secrets, which have another label.
	SecretsName = "secrets.validator"

	path        = "/webhooks/validate"
	secretsPath = "/webhooks/validate/secrets"
)

// Options are what the validators need besides the manager.
type Options struct {
	// Reader reads the CloudProfiles, bindings, Secrets and Shoots that an object refers to. It is the manager's API reader unless
	// another is set: a Shoot is often applied right after its CloudProfile, before any cache knows of that, and a cache of all
	// Secrets of a garden would be large.
	Reader client.Reader
}

func (o Options) reader(mgr manager.Manager) client.Reader {
	if o.Reader != nil {
		return o.Reader
	}
	return mgr.GetAPIReader()
}

// New is the webhook that validates CloudProfiles, NamespacedCloudProfiles, Shoots, SecretBindings, CredentialsBindings and
// WorkloadIdentities. The manager's scheme has to have core.gardener.cloud/v1beta1 and security.gardener.cloud/v1alpha1. Gardener's
// API server labels the objects that are Packet's.
func New(mgr manager.Manager, options Options) (*extensionswebhook.Webhook, error) {
	reader := options.reader(mgr)
	webhook, err := extensionswebhook.New(mgr, extensionswebhook.Args{
		Name: Name,
		Path: path,
		Validators: map[extensionswebhook.Validator][]extensionswebhook.Type{
			&cloudProfiles{}:                         {{Obj: &gardencorev1beta1.CloudProfile{}}},
			&namespacedCloudProfiles{reader: reader}: {{Obj: &gardencorev1beta1.NamespacedCloudProfile{}}},
			&shoots{reader: reader}:                  {{Obj: &gardencorev1beta1.Shoot{}}},
			&secretBindings{reader: reader}:          {{Obj: &gardencorev1beta1.SecretBinding{}}},
			&credentialsBindings{reader: reader}:     {{Obj: &securityv1alpha1.CredentialsBinding{}}},
			&workloadIdentities{}:                    {{Obj: &securityv1alpha1.WorkloadIdentity{}}},
		},
		Target:         extensionswebhook.TargetSeed,
		ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{v1beta1constants.LabelExtensionProviderTypePrefix + account.Type: "true"}},
	})
	if err != nil {
		return nil, fmt.Errorf("making the webhook %s: %w", Name, err)
	}
	return webhook, nil
}

// NewSecrets is the webhook that validates the Secrets with Packet accounts: those that a binding refers to, which Gardener labels,
// and those that their owner labelled so.
func NewSecrets(mgr manager.Manager, options Options) (*extensionswebhook.Webhook, error) {
	webhook, err := extensionswebhook.New(mgr, extensionswebhook.Args{
		Name: SecretsName,
		Path: secretsPath,
		Validators: map[extensionswebhook.Validator][]extensionswebhook.Type{
			&secrets{reader: options.reader(mgr)}: {{Obj: &corev1.Secret{}}},
		},
		Target:         extensionswebhook.TargetSeed,
		ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{v1beta1constants.LabelShootProviderPrefix + account.Type: "true"}},
	})
	if err != nil {
		return nil, fmt.Errorf("making the webhook %s: %w", SecretsName, err)
	}
	return webhook, nil
}
