package admission_test

import (
	"context"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestExamplesForSeeds applies the files of example/ for a cluster without a Gardener, in the order that they tell: Gardener's
// definitions, and what gardenlet would make. A field that the definitions do not have is an error.
func TestExamplesForSeeds(t *testing.T) {
	definitions, err := filepath.Glob("../../../example/20-crd-*.yaml")
	if err != nil || len(definitions) == 0 {
		t.Fatalf("no definitions: %v", err)
	}
	for _, file := range definitions {
		objects, err := objectsOf(filepath.Base(file))
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			apply(t, object)
		}
	}
	for _, file := range []string{
		"10-fake-shoot-controlplane.yaml", "30-infrastructure.yaml", "infrastructure.yaml", "30-controlplane.yaml", "30-worker.yaml", "30-bastion.yaml",
	} {
		t.Run(file, func(t *testing.T) {
			objects, err := objectsOf(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, object := range objects {
				apply(t, object)
				// The namespace, the account and the Cluster are in each file, because each can be the only one.
				if kind := object.GetKind(); kind != "Namespace" {
					t.Cleanup(func() { remove(t, object) })
				}
			}
		})
	}
}

func remove(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	if err := garden.Delete(context.WithoutCancel(t.Context()), object.DeepCopy()); err != nil {
		t.Errorf("removing the %s %s: %v", object.GetKind(), object.GetName(), err)
	}
}
