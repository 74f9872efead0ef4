package components

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/packetyard/packetyard/internal/controlplanetest"
)

func sources(t *testing.T) (upstream, ours fs.FS) {
	t.Helper()
	folder, err := controlplanetest.ModuleFolder("sigs.k8s.io/cluster-api")
	if err != nil {
		t.Fatal(err)
	}
	return os.DirFS(folder), os.DirFS(filepath.Join("..", "..", "..", "config"))
}

const image = "example.com/manager:v1"

func text(t *testing.T, manifests Manifests) string {
	t.Helper()
	var file bytes.Buffer
	if err := manifests.Write(&file, Header); err != nil {
		t.Fatal(err)
	}
	return file.String()
}

func TestBuild(t *testing.T) {
	upstream, ours := sources(t)
	manifests, err := Build(upstream, ours, image)
	if err != nil {
		t.Fatal(err)
	}
	file := text(t, manifests)
	for _, want := range []string{
		"image: example.com/manager:v1\n", "name: manager\n", "name: packetmachines.infrastructure.cluster.x-k8s.io\n",
		"MachinePool=true,ClusterTopology=true",
	} {
		if !strings.Contains(file, want) {
			t.Errorf("the components lack %q", want)
		}
	}
	for _, never := range []string{"cert-manager", "capi-system", "webhook-service\n      namespace: system", "${", "kind: Secret\n"} {
		if strings.Contains(file, never) {
			t.Errorf("the components have %q", never)
		}
	}
	checkShape(t, manifests, providerName, defaultService)
	for _, object := range manifests {
		if _, labelled := object.GetLabels()[clusterctlLabel]; !labelled {
			t.Errorf("%s %s lacks the label that clusterctl knows its objects by", object.GetKind(), object.GetName())
		}
	}
}

// defaultService is what the manager's flags default to; see internal/capi/manager.
const defaultService = "cluster-api-provider-packet-webhook-service"

// checkShape checks what the contract of clusterctl says of every provider.
func checkShape(t *testing.T, manifests Manifests, label, service string) {
	t.Helper()
	if manifests[0].GetKind() != "Namespace" {
		t.Errorf("the first object is a %s, want the Namespace", manifests[0].GetKind())
	}
	kinds := map[string]int{}
	for _, object := range manifests {
		kinds[object.GetKind()]++
		if object.GetLabels()[providerLabel] != label {
			t.Errorf("%s %s lacks the label of the provider", object.GetKind(), object.GetName())
		}
		if object.GetKind() == "CustomResourceDefinition" {
			checkDefinition(t, object, service)
		}
	}
	if kinds["Namespace"] != 1 || kinds["Deployment"] != 1 {
		t.Errorf("the kinds are %v, clusterctl wants one Namespace and one Deployment", kinds)
	}
}

// Together the providers have what the one process has: no definition, webhook or rule is lost or doubled.
func TestProvidersAreTheWhole(t *testing.T) {
	upstream, ours := sources(t)
	all, err := Build(upstream, ours, image)
	if err != nil {
		t.Fatal(err)
	}
	names := func(manifests Manifests) (found []string) {
		for _, object := range manifests {
			webhooks, _, _ := unstructured.NestedSlice(object.Object, "webhooks")
			for _, webhook := range webhooks {
				found = append(found, object.GetKind()+" "+webhook.(map[string]any)["name"].(string))
			}
			if object.GetKind() == "CustomResourceDefinition" {
				found = append(found, object.GetName())
			}
		}
		return found
	}
	var parts []string
	for _, provider := range Providers() {
		manifests, err := BuildProvider(upstream, ours, image, provider)
		if err != nil {
			t.Fatal(err)
		}
		checkShape(t, manifests, provider.Label, provider.WebhookService())
		file := text(t, manifests)
		for _, want := range []string{
			"--providers=" + provider.Name + "\n", "ClusterTopology=${CLUSTER_TOPOLOGY:=true}", "MachinePool=${EXP_MACHINE_POOL:=true}",
			"namespace: " + provider.Namespace + "\n", "image: " + image,
		} {
			if !strings.Contains(file, want) {
				t.Errorf("%s lacks %q", provider.File, want)
			}
		}
		if secrets := strings.Contains(file, "kind: Secret\n"); secrets != (provider.Label == providerName) {
			t.Errorf("%s has credentials: %v", provider.File, secrets)
		}
		for _, other := range Providers() {
			if other.Label != provider.Label && strings.Contains(file, "namespace: "+other.Namespace+"\n") {
				t.Errorf("%s has something in namespace %s", provider.File, other.Namespace)
			}
		}
		parts = append(parts, names(manifests)...)
	}
	whole := names(all)
	slices.Sort(whole)
	slices.Sort(parts)
	if !slices.Equal(whole, parts) {
		t.Errorf("the providers have\n%s\nand the one process has\n%s", strings.Join(parts, "\n"), strings.Join(whole, "\n"))
	}
}

func checkDefinition(t *testing.T, definition *unstructured.Unstructured, service string) {
	t.Helper()
	versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	if err != nil {
		t.Fatal(err)
	}
	strategy, _, _ := unstructured.NestedString(definition.Object, "spec", "conversion", "strategy")
	if several := len(versions) > 1; several != (strategy == "Webhook") || several != (definition.GetLabels()[injectLabel] == service) {
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

// TestProvidersShareNoPort: the four managers on one simulated machine, whose pods have the machine's network, kept all but
// one of them from starting.
func TestProvidersShareNoPort(t *testing.T) {
	upstream, ours := sources(t)
	owners := map[int64]string{}
	for _, provider := range Providers() {
		objects, err := BuildProvider(upstream, ours, "example.com/manager:v1", provider)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			containers, found, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
			if !found {
				continue
			}
			container := containers[0].(map[string]any)
			for _, v := range container["ports"].([]any) {
				number := v.(map[string]any)["containerPort"].(int64)
				if owner, ok := owners[number]; ok {
					t.Errorf("%s and %s both have port %d", owner, provider.Name, number)
				}
				owners[number] = provider.Name
				if arguments := fmt.Sprint(container["args"]); !strings.Contains(arguments, fmt.Sprint(number)) {
					t.Errorf("%s: no argument names port %d: %s", provider.Name, number, arguments)
				}
			}
		}
	}
	if len(owners) != 12 {
		t.Errorf("%d ports, want three for each of the four providers", len(owners))
	}
}
