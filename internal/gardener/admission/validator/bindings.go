package validator

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	securityv1alpha1 "github.com/gardener/gardener/pkg/apis/security/v1alpha1"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

// onlyTokens is why nothing but a Secret will do.
const onlyTokens = "the Packet API knows people and programs by tokens that stay the same, so the account has to be in a Secret with " +
	account.APIToken + " and " + account.ProjectID

// secretBindings validates SecretBindings: what they refer to has to be a Packet account.
type secretBindings struct{ reader client.Reader }

// Validate implements extensionswebhook.Validator.
func (s *secretBindings) Validate(ctx context.Context, newObj, oldObj client.Object) error {
	binding, old, err := typed[*gardencorev1beta1.SecretBinding](newObj, oldObj)
	if err != nil {
		return err
	}
	if binding.DeletionTimestamp != nil || old != nil && equal(binding.SecretRef, old.SecretRef) {
		return nil
	}
	return validAccount(ctx, s.reader, binding.SecretRef.Namespace, binding.SecretRef.Name, field.NewPath("secretRef"))
}

// credentialsBindings validates CredentialsBindings.
type credentialsBindings struct{ reader client.Reader }

// Validate implements extensionswebhook.Validator.
func (c *credentialsBindings) Validate(ctx context.Context, newObj, oldObj client.Object) error {
	binding, old, err := typed[*securityv1alpha1.CredentialsBinding](newObj, oldObj)
	if err != nil {
		return err
	}
	ref := binding.CredentialsRef
	if binding.DeletionTimestamp != nil || old != nil && equal(ref, old.CredentialsRef) {
		return nil
	}
	at := field.NewPath("credentialsRef")
	if !isSecret(ref) {
		return field.Invalid(at.Child("kind"), ref.Kind, "must be Secret of apiVersion v1: "+onlyTokens)
	}
	return validAccount(ctx, c.reader, ref.Namespace, ref.Name, at)
}

// workloadIdentities refuses WorkloadIdentities for Packet, which no binding could refer to.
type workloadIdentities struct{}

// Validate implements extensionswebhook.Validator.
func (*workloadIdentities) Validate(_ context.Context, newObj, oldObj client.Object) error {
	identity, old, err := typed[*securityv1alpha1.WorkloadIdentity](newObj, oldObj)
	if err != nil {
		return err
	}
	if identity.DeletionTimestamp != nil || old != nil || identity.Spec.TargetSystem.Type != account.Type {
		return nil
	}
	return field.Invalid(field.NewPath("spec", "targetSystem", "type"), identity.Spec.TargetSystem.Type, "must not be "+account.Type+": "+onlyTokens)
}

func isSecret(ref corev1.ObjectReference) bool {
	return ref.APIVersion == corev1.SchemeGroupVersion.String() && ref.Kind == "Secret"
}

// validAccount tells what is wrong with the Secret that a binding refers to.
func validAccount(ctx context.Context, reader client.Reader, namespace, name string, at *field.Path) error {
	secret := &corev1.Secret{}
	if err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret); err != nil {
		return fmt.Errorf("%s: reading the Secret %s/%s: %w", at, namespace, name, err)
	}
	if problems := account.Validate(secret, nil); len(problems) > 0 {
		return fmt.Errorf("%s: the Secret %s/%s has no Packet account: %w", at, namespace, name, problems.ToAggregate())
	}
	return nil
}

// projectOf is the Packet project that a Shoot's binding leads to; empty if the Shoot has no binding.
func projectOf(ctx context.Context, reader client.Reader, shoot *gardencorev1beta1.Shoot) (string, error) {
	var ref client.ObjectKey
	switch {
	case shoot.Spec.CredentialsBindingName != nil:
		binding := &securityv1alpha1.CredentialsBinding{}
		if err := reader.Get(ctx, client.ObjectKey{Namespace: shoot.Namespace, Name: *shoot.Spec.CredentialsBindingName}, binding); err != nil {
			return "", fmt.Errorf("reading the CredentialsBinding %s: %w", *shoot.Spec.CredentialsBindingName, err)
		}
		ref = client.ObjectKey{Namespace: binding.CredentialsRef.Namespace, Name: binding.CredentialsRef.Name}
	case shoot.Spec.SecretBindingName != nil:
		binding := &gardencorev1beta1.SecretBinding{}
		if err := reader.Get(ctx, client.ObjectKey{Namespace: shoot.Namespace, Name: *shoot.Spec.SecretBindingName}, binding); err != nil {
			return "", fmt.Errorf("reading the SecretBinding %s: %w", *shoot.Spec.SecretBindingName, err)
		}
		ref = client.ObjectKey{Namespace: binding.SecretRef.Namespace, Name: binding.SecretRef.Name}
	default:
		return "", nil
	}
	secret := &corev1.Secret{}
	if err := reader.Get(ctx, ref, secret); err != nil {
		return "", fmt.Errorf("reading the Secret %s: %w", ref, err)
	}
	return string(secret.Data[account.ProjectID]), nil
}
