package validator

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	securityv1alpha1 "github.com/gardener/gardener/pkg/apis/security/v1alpha1"
)

// badShoot has no configuration that could be read.
func badShoot() *gardencorev1beta1.Shoot {
	nonsense := &runtime.RawExtension{Raw: []byte(`{"kind":"Nonsense"}`)}
	return &gardencorev1beta1.Shoot{Spec: gardencorev1beta1.ShootSpec{Provider: gardencorev1beta1.Provider{
		Type: "packet", InfrastructureConfig: nonsense, ControlPlaneConfig: nonsense,
		Workers: []gardencorev1beta1.Worker{{Name: "workers", ProviderConfig: nonsense}},
	}}}
}

// TestWhatIsNotLookedAt has no reader: to ask for anything would panic.
func TestWhatIsNotLookedAt(t *testing.T) {
	deleted := metav1.Now()
	deleting, other, workerless := badShoot(), badShoot(), badShoot()
	deleting.DeletionTimestamp = &deleted
	other.Spec.Provider.Type = "local"
	workerless.Spec.Provider.Workers = nil
	relabelled := badShoot()
	relabelled.Labels = map[string]string{"a": "b"}
	for name, test := range map[string]struct{ is, old client.Object }{
		"a Shoot that is being deleted":        {deleting, badShoot()},
		"another provider's Shoot":             {other, nil},
		"a Shoot without workers":              {workerless, nil},
		"a bad Shoot that stays as it was":     {relabelled, badShoot()},
		"another provider's CloudProfile":      {&gardencorev1beta1.CloudProfile{Spec: gardencorev1beta1.CloudProfileSpec{Type: "local"}}, nil},
		"a CloudProfile that is being deleted": {&gardencorev1beta1.CloudProfile{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &deleted}, Spec: gardencorev1beta1.CloudProfileSpec{Type: "packet"}}, nil},
		"a Secret that stays as it was":        {&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, &corev1.Secret{}},
		"a SecretBinding that stays":           {&gardencorev1beta1.SecretBinding{}, &gardencorev1beta1.SecretBinding{}},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			switch test.is.(type) {
			case *gardencorev1beta1.Shoot:
				err = (&shoots{}).Validate(t.Context(), test.is, test.old)
			case *gardencorev1beta1.CloudProfile:
				err = (&cloudProfiles{}).Validate(t.Context(), test.is, test.old)
			case *corev1.Secret:
				err = (&secrets{}).Validate(t.Context(), test.is, test.old)
			case *gardencorev1beta1.SecretBinding:
				err = (&secretBindings{}).Validate(t.Context(), test.is, test.old)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOnlySecretsAreAccounts(t *testing.T) {
	for _, ref := range []corev1.ObjectReference{
		{APIVersion: "security.gardener.cloud/v1alpha1", Kind: "WorkloadIdentity", Namespace: "garden-em", Name: "a"},
		{APIVersion: "core.gardener.cloud/v1beta1", Kind: "InternalSecret", Namespace: "garden-em", Name: "a"},
	} {
		err := (&credentialsBindings{}).Validate(t.Context(), &securityv1alpha1.CredentialsBinding{CredentialsRef: ref}, nil)
		if err == nil || !strings.Contains(err.Error(), "credentialsRef.kind: Invalid value: \""+ref.Kind+"\": must be Secret of apiVersion v1: the Packet API knows people and programs by tokens that stay the same") {
			t.Errorf("%s: %v", ref.Kind, err)
		}
	}
	identity := &securityv1alpha1.WorkloadIdentity{Spec: securityv1alpha1.WorkloadIdentitySpec{TargetSystem: securityv1alpha1.TargetSystem{Type: "aws"}}}
	if err := (&workloadIdentities{}).Validate(t.Context(), identity, nil); err != nil {
		t.Errorf("another provider's: %v", err)
	}
}

func TestAnotherTypeIsAnError(t *testing.T) {
	if err := (&shoots{}).Validate(t.Context(), &corev1.Secret{}, nil); err == nil {
		t.Error("a Secret is no Shoot")
	}
	if err := (&shoots{}).Validate(t.Context(), badShoot(), &corev1.Secret{}); err == nil {
		t.Error("a Secret was no Shoot")
	}
}

func TestNamesOfManyShoots(t *testing.T) {
	for _, test := range []struct {
		shoots []string
		want   string
	}{
		{[]string{"a"}, "the Shoot a"},
		{[]string{"a", "b"}, "the Shoots a, b"},
		{[]string{"a", "b", "c", "d", "e"}, "the Shoots a, b, c and 2 more"},
	} {
		if got := named(test.shoots); got != test.want {
			t.Errorf("%v: %s, want %s", test.shoots, got, test.want)
		}
	}
}
