package admission_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	yamlreader "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
)

// landscape is what a garden has before anybody uses Packet: the namespace of the Project, which Gardener's controllers would make,
// and who is in charge of what Shoots are made of.
func landscape() []client.Object {
	primary := true
	registration := &gardencorev1beta1.ControllerRegistration{ObjectMeta: metav1.ObjectMeta{Name: "extensions"}}
	for kind, types := range map[string][]string{
		"Infrastructure": {"packet"}, "ControlPlane": {"packet"}, "Worker": {"packet"}, "Bastion": {"packet"},
		"Network": {"calico"}, "OperatingSystemConfig": {"ubuntu", "flatcar"},
	} {
		for _, name := range types {
			registration.Spec.Resources = append(registration.Spec.Resources, gardencorev1beta1.ControllerResource{Kind: kind, Type: name, Primary: &primary})
		}
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:   "garden-em",
		Labels: map[string]string{"gardener.cloud/role": "project", "project.gardener.cloud/name": "em"},
	}}
	return []client.Object{namespace, registration}
}

// objectsOf are the objects of a file of example/.
func objectsOf(name string) ([]*unstructured.Unstructured, error) {
	content, err := os.ReadFile(filepath.Join("..", "..", "..", "example", name))
	if err != nil {
		return nil, err
	}
	objects, err := decoded(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return objects, nil
}

// decoded are the objects of YAML documents.
func decoded(content []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	reader := yamlreader.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(document, &object.Object); err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

func firstOf(name string) (*unstructured.Unstructured, error) {
	objects, err := objectsOf(name)
	if err != nil {
		return nil, err
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("%s has no object", name)
	}
	return objects[0], nil
}

// example is the first object of a file of example/.
func example(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	object, err := firstOf(name)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// set puts YAML at a place of an object, in which numbers are positions in lists. No YAML takes what is there away.
func set(object *unstructured.Unstructured, value any, path ...string) error {
	var at any = object.Object
	for i, step := range path {
		last := i == len(path)-1
		switch is := at.(type) {
		case map[string]any:
			switch {
			case last && value == nil:
				delete(is, step)
			case last:
				is[step] = value
			case is[step] == nil:
				is[step] = map[string]any{}
			}
			at = is[step]
		case []any:
			var index int
			if _, err := fmt.Sscan(step, &index); err != nil || index >= len(is) {
				return fmt.Errorf("there is no item %s", step)
			}
			if last {
				is[index] = value
			}
			at = is[index]
		default:
			return fmt.Errorf("there is nothing to put %s into", step)
		}
	}
	return nil
}

// with is an object with YAML at a place, such as spec.provider.workers.0.zones.
func with(t *testing.T, object *unstructured.Unstructured, path, text string) *unstructured.Unstructured {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	changed := object.DeepCopy()
	if err := set(changed, value, strings.Split(path, ".")...); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return changed
}

// apply makes an object. A garden needs a moment to know what it was told just before.
func apply(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	var last error
	if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		object := object.DeepCopy()
		last = garden.Create(ctx, object)
		if apierrors.IsInvalid(last) || apierrors.IsBadRequest(last) {
			return false, last
		}
		// A namespace is in several files, and cannot be removed in a cluster without controllers.
		return last == nil || object.GetKind() == "Namespace" && apierrors.IsAlreadyExists(last), nil
	}); err != nil {
		t.Fatalf("making the %s %s: %v (last answer: %v)", object.GetKind(), object.GetName(), err, last)
	}
}

// refusedBy tells whether the admission component refused something with this text.
func refusedBy(err error, text string) bool {
	return err != nil && strings.Contains(err.Error(), "admission webhook") && strings.Contains(err.Error(), text)
}

// refused wants a text of the admission component, and that people find it in the document.
func refused(t *testing.T, err error, says string) {
	t.Helper()
	if !refusedBy(err, says) {
		t.Errorf("the answer is:\n%v\nand does not have:\n%s", err, says)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "gardener", "admission.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), says) {
		t.Errorf("docs/gardener/admission.md does not have:\n%s", says)
	}
}
