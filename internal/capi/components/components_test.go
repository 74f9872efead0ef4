package components

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func buildAll(t *testing.T) Manifests {
	t.Helper()
	upstream, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/cluster-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := Build(os.DirFS(strings.TrimSpace(string(upstream))), os.DirFS(filepath.Join("..", "..", "..", "config")), "example.com/manager:v1")
	if err != nil {
		t.Fatal(err)
	}
	return manifests
}

func TestBuild(t *testing.T) {
	manifests := buildAll(t)
	var file bytes.Buffer
	if err := manifests.Write(&file); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"image: example.com/manager:v1\n", "name: manager\n", "name: packetmachines.infrastructure.cluster.x-k8s.io\n"} {
		if !strings.Contains(file.String(), want) {
			t.Errorf("the components lack %q", want)
		}
	}
	for _, never := range []string{"cert-manager", "capi-system", "webhook-service\n      namespace: system", "${"} {
		if strings.Contains(file.String(), never) {
			t.Errorf("the components have %q", never)
		}
	}
	if manifests[0].GetKind() != "Namespace" {
		t.Errorf("the first object is a %s, want the Namespace", manifests[0].GetKind())
	}
	namespaces := 0
	for _, object := range manifests {
		if object.GetLabels()[providerLabel] != providerName {
			t.Errorf("%s %s lacks the label of the provider", object.GetKind(), object.GetName())
		}
		if object.GetKind() == "Namespace" {
			namespaces++
		}
		if object.GetKind() == "CustomResourceDefinition" {
			checkDefinition(t, object)
		}
	}
	if namespaces != 1 {
		t.Errorf("%d Namespaces, clusterctl wants 1", namespaces)
	}
}

func checkDefinition(t *testing.T, definition *unstructured.Unstructured) {
	t.Helper()
	versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	if err != nil {
		t.Fatal(err)
	}
	strategy, _, _ := unstructured.NestedString(definition.Object, "spec", "conversion", "strategy")
	if several := len(versions) > 1; several != (strategy == "Webhook") || several != (definition.GetLabels()[injectLabel] != "") {
		t.Errorf("%s has %d versions, conversion %q and labels %v", definition.GetName(), len(versions), strategy, definition.GetLabels())
	}
	if strings.HasPrefix(definition.GetName(), "packet") && definition.GetLabels()["cluster.x-k8s.io/v1beta2"] != "v1beta2" {
		t.Errorf("%s lacks the label of the contract", definition.GetName())
	}
	// A property that is called description is not the description of a schema.
	for _, version := range versions {
		v := version.(map[string]any)
		if definition.GetName() == "clusterclasses.cluster.x-k8s.io" && v["storage"] == true {
			if text, _, _ := unstructured.NestedString(v, "schema", "openAPIV3Schema", "description"); text == "" {
				t.Error("the stored version lost its descriptions")
			}
		}
	}
}

func TestDropDescriptionsKeepsProperties(t *testing.T) {
	schema := map[string]any{
		"description": "gone", "type": "object",
		"properties": map[string]any{"description": map[string]any{"type": "string", "description": "gone too"}},
	}
	dropDescriptions(schema)
	if _, ok := schema["description"]; ok {
		t.Error("the description is still there")
	}
	property, ok, err := unstructured.NestedMap(schema, "properties", "description")
	if err != nil || !ok || property["type"] != "string" || len(property) != 1 {
		t.Errorf("the property is %v, %v", property, err)
	}
}

func TestMergeRules(t *testing.T) {
	rule := func(groups, resources, names, verbs string) rbacv1.PolicyRule {
		split := func(s string) []string {
			if s == "-" {
				return nil
			}
			return strings.Split(s, ",")
		}
		return rbacv1.PolicyRule{APIGroups: split(groups), Resources: split(resources), ResourceNames: split(names), Verbs: split(verbs)}
	}
	got := mergeRules([]rbacv1.PolicyRule{
		rule("g", "a", "-", "get"),
		rule("g", "a", "-", "list"),
		rule("g", "b", "-", "get,list"),
		rule("g", "a", "x", "get"),       // Allowed for all objects anyway.
		rule("g", "c", "x", "patch"),     // Two names of one resource go together.
		rule("g", "c", "y", "patch"),     //
		rule("h", "*", "-", "get,watch"), // Covers what follows.
		rule("h", "a,b", "-", "get"),
		rule("h", "a", "-", "delete"), // It does not cover this.
	})
	want := []rbacv1.PolicyRule{
		rule("g", "a,b", "-", "get,list"),
		rule("g", "c", "x,y", "patch"),
		rule("h", "*", "-", "get,watch"),
		rule("h", "a", "-", "delete,get"),
	}
	slices.SortFunc(want, func(a, b rbacv1.PolicyRule) int { return strings.Compare(a.String(), b.String()) })
	if len(got) != len(want) {
		t.Fatalf("rules are %v, want %v", got, want)
	}
	for n := range want {
		if got[n].String() != want[n].String() {
			t.Errorf("rule %d is %v, want %v", n, got[n], want[n])
		}
	}
}

func TestImageWithoutContainer(t *testing.T) {
	if err := setImage(Manifests{{Object: map[string]any{"kind": "Service"}}}, "x"); err == nil {
		t.Error("setting the image of nothing succeeds")
	}
}
