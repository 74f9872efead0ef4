package validator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	securityv1alpha1 "github.com/gardener/gardener/pkg/apis/security/v1alpha1"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

// secrets validates Secrets with Packet accounts. No message has the token in it.
type secrets struct{ reader client.Reader }

// Validate implements extensionswebhook.Validator.
func (s *secrets) Validate(ctx context.Context, newObj, oldObj client.Object) error {
	secret, old, err := typed[*corev1.Secret](newObj, oldObj)
	if err != nil {
		return err
	}
	if secret.DeletionTimestamp != nil || old != nil && equal(secret.Data, old.Data) {
		return nil
	}
	problems := account.Validate(secret, nil)
	if old == nil {
		return problems.ToAggregate()
	}
	is, before := string(secret.Data[account.ProjectID]), string(old.Data[account.ProjectID])
	if is != before && before != "" {
		users, err := s.users(ctx, secret)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			problems = append(problems, field.Invalid(field.NewPath("data").Key(account.ProjectID), is,
				fmt.Sprintf("must stay %s: machines of %s are in that project; make another Secret for other Shoots", before, named(users))))
		}
	}
	return problems.ToAggregate()
}

// users are the Shoots that have the account of this Secret by a binding. They are looked for only when the project is to change,
// which hardly happens, so nothing is cached for it.
func (s *secrets) users(ctx context.Context, secret *corev1.Secret) ([]string, error) {
	secretBindings := &gardencorev1beta1.SecretBindingList{}
	if err := s.reader.List(ctx, secretBindings); err != nil {
		return nil, fmt.Errorf("looking for the Shoots that have the Secret: %w", err)
	}
	credentialsBindings := &securityv1alpha1.CredentialsBindingList{}
	if err := s.reader.List(ctx, credentialsBindings); err != nil {
		return nil, fmt.Errorf("looking for the Shoots that have the Secret: %w", err)
	}
	// Bindings by namespace, because a Shoot has one of its own namespace.
	bySecret, byCredentials := map[string][]string{}, map[string][]string{}
	for _, binding := range secretBindings.Items {
		if binding.SecretRef.Name == secret.Name && binding.SecretRef.Namespace == secret.Namespace {
			bySecret[binding.Namespace] = append(bySecret[binding.Namespace], binding.Name)
		}
	}
	for _, binding := range credentialsBindings.Items {
		ref := binding.CredentialsRef
		if isSecret(ref) && ref.Name == secret.Name && ref.Namespace == secret.Namespace {
			byCredentials[binding.Namespace] = append(byCredentials[binding.Namespace], binding.Name)
		}
	}
	var users []string
	for namespace := range union(bySecret, byCredentials) {
		shoots := &gardencorev1beta1.ShootList{}
		if err := s.reader.List(ctx, shoots, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("looking for the Shoots that have the Secret: %w", err)
		}
		for _, shoot := range shoots.Items {
			if shoot.Spec.Provider.Type == account.Type &&
				(has(bySecret[namespace], shoot.Spec.SecretBindingName) || has(byCredentials[namespace], shoot.Spec.CredentialsBindingName)) {
				users = append(users, namespace+"/"+shoot.Name)
			}
		}
	}
	slices.Sort(users)
	return users, nil
}

func union(a, b map[string][]string) map[string]bool {
	result := map[string]bool{}
	for name := range a {
		result[name] = true
	}
	for name := range b {
		result[name] = true
	}
	return result
}

func has(names []string, name *string) bool { return name != nil && slices.Contains(names, *name) }

// named names a few Shoots.
func named(shoots []string) string {
	const most = 3
	if more := len(shoots) - most; more > 0 {
		return fmt.Sprintf("the Shoots %s and %d more", strings.Join(shoots[:most], ", "), more)
	}
	if len(shoots) > 1 {
		return "the Shoots " + strings.Join(shoots, ", ")
	}
	return "the Shoot " + shoots[0]
}
