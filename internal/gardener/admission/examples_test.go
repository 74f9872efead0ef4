package admission_test

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
)

// gardenExamples are the files of example/ for the garden cluster, in the order in which people apply them.
func gardenExamples() []string {
	return []string{"23-project.yaml", "25-secret.yaml", "25-credentialsbinding.yaml", "26-cloudprofile.yaml", "27-namespacedcloudprofile.yaml"}
}

// TestEveryExampleIsAccepted applies what people apply, to a gardener-apiserver with the admission component in front, and then each
// mistake of docs/gardener/admission.md. They are one test because each stands on what those before it made.
func TestEveryExampleIsAccepted(t *testing.T) {
	for _, file := range gardenExamples() {
		objects, err := objectsOf(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			apply(t, object)
		}
	}
	// Both Shoots have the name of the document, so the old one is only tried.
	old := example(t, "90-shoot-secretbinding.yaml")
	if err := garden.Create(t.Context(), old, client.DryRunAll); err != nil {
		t.Errorf("90-shoot-secretbinding.yaml: %v", err)
	}
	apply(t, example(t, "90-shoot.yaml"))
	t.Run("labels", testLabels)
	t.Run("mistakes", testMistakes)
	t.Run("changes", testChanges)
	t.Run("what is new", testNewThings)
	t.Run("namespaced cloud profile", testNamespacedCloudProfile)
}

// testLabels proves that Gardener labels what the webhooks select.
func testLabels(t *testing.T) {
	const label = "provider.extensions.gardener.cloud/packet"
	for _, object := range []client.Object{
		&gardencorev1beta1.CloudProfile{}, &gardencorev1beta1.NamespacedCloudProfile{}, &gardencorev1beta1.Shoot{}, &gardencorev1beta1.SecretBinding{},
	} {
		key := client.ObjectKey{Name: "packet"}
		switch object.(type) {
		case *gardencorev1beta1.NamespacedCloudProfile:
			key = client.ObjectKey{Namespace: "garden-em", Name: "packet-em"}
		case *gardencorev1beta1.Shoot:
			key = client.ObjectKey{Namespace: "garden-em", Name: "em-test"}
		case *gardencorev1beta1.SecretBinding:
			key = client.ObjectKey{Namespace: "garden-em", Name: "core-packet"}
		}
		if err := garden.Get(t.Context(), key, object); err != nil {
			t.Fatal(err)
		}
		if object.GetLabels()[label] != "true" {
			t.Errorf("%T %s has the labels %v, without %s", object, key, object.GetLabels(), label)
		}
	}
}
