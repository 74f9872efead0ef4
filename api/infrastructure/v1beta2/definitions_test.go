package v1beta2_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/yaml"

	"sigs.k8s.io/cluster-api/util/contract"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// definitions reads the CustomResourceDefinitions that are generated from the types, by kind.
func definitions(t *testing.T) map[string]*apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "config", "crd", "bases", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no definitions: %v", err)
	}
	all := map[string]*apiextensionsv1.CustomResourceDefinition{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		definition := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(content, definition); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[definition.Spec.Names.Kind] = definition
	}
	return all
}

// TestContract checks what Cluster API's contract v1beta2 asks of definitions.
func TestContract(t *testing.T) {
	shortNames := map[string]string{}
	for kind, short := range map[string]string{
		"PacketCluster": "pcl", "PacketClusterTemplate": "pclt",
		"PacketMachine": "pma", "PacketMachineTemplate": "pmt",
		"PacketMachinePool": "pmp", "PacketMachinePoolTemplate": "pmpt",
		"PacketRemediation": "prem", "PacketRemediationTemplate": "premt",
	} {
		t.Run(kind, func(t *testing.T) {
			d := definitions(t)[kind]
			if d == nil {
				t.Fatal("it has no definition")
			}
			if want := contract.CalculateCRDName(infrav1.GroupVersion.Group, kind); d.Name != want {
				t.Errorf("its name is %s, and Cluster API looks for %s", d.Name, want)
			}
			if got := d.Labels["cluster.x-k8s.io/v1beta2"]; got != "v1beta2" {
				t.Errorf("the label of the contract is %q, want v1beta2", got)
			}
			// Templates of remediations have no owner by which `clusterctl move` could find them.
			if _, moved := d.Labels["clusterctl.cluster.x-k8s.io/move"]; moved != (kind == "PacketRemediationTemplate") {
				t.Errorf("labelled to be moved without owner: %v", moved)
			}
			if d.Spec.Scope != apiextensionsv1.NamespaceScoped {
				t.Errorf("its scope is %s", d.Spec.Scope)
			}
			if !slices.Equal(d.Spec.Names.Categories, []string{"cluster-api"}) {
				t.Errorf("its categories are %v: `kubectl get cluster-api` does not show it", d.Spec.Names.Categories)
			}
			if !slices.Equal(d.Spec.Names.ShortNames, []string{short}) {
				t.Errorf("its short names are %v, want %s", d.Spec.Names.ShortNames, short)
			}
			if other, taken := shortNames[short]; taken {
				t.Errorf("%s is the short name of %s too", short, other)
			}
			shortNames[short] = kind
			if d.Spec.Names.ListKind != kind+"List" {
				t.Errorf("its list is %s", d.Spec.Names.ListKind)
			}
			if len(d.Spec.Versions) != 1 || !d.Spec.Versions[0].Storage || !d.Spec.Versions[0].Served {
				t.Fatalf("its versions are %v", d.Spec.Versions)
			}
			_, hasStatus := d.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"]
			if has := d.Spec.Versions[0].Subresources; (has != nil && has.Status != nil) != hasStatus {
				t.Errorf("it has a status: %v, and these subresources: %v", hasStatus, has)
			}
		})
	}
	if got := len(definitions(t)); got != len(shortNames) {
		t.Errorf("there are %d definitions, and %d are checked", got, len(shortNames))
	}
}

// TestPrintColumns evaluates every column on an object that has everything: a path that leads nowhere is a column that is
// always empty.
func TestPrintColumns(t *testing.T) {
	for kind, d := range definitions(t) {
		t.Run(kind, func(t *testing.T) {
			version := d.Spec.Versions[0]
			object := sample(*version.Schema.OpenAPIV3Schema).(map[string]any)
			object["metadata"] = map[string]any{
				"labels":            map[string]any{"cluster.x-k8s.io/cluster-name": "c"},
				"ownerReferences":   []any{map[string]any{"kind": "Machine", "name": "m"}},
				"creationTimestamp": "2026-01-01T00:00:00Z",
			}
			if len(version.AdditionalPrinterColumns) == 0 {
				t.Error("it has no columns, not even its age")
			}
			for _, column := range version.AdditionalPrinterColumns {
				path := jsonpath.New(column.Name).AllowMissingKeys(false)
				if err := path.Parse("{" + column.JSONPath + "}"); err != nil {
					t.Errorf("column %s: %v", column.Name, err)
					continue
				}
				found, err := path.FindResults(object)
				if err != nil || len(found) == 0 || len(found[0]) == 0 {
					t.Errorf("column %s: nothing is at %s: %v", column.Name, column.JSONPath, err)
				}
				if column.Description == "" {
					t.Errorf("column %s has no description", column.Name)
				}
			}
		})
	}
}

// sample makes a value of a schema in which every field is set, with a condition of type Ready.
func sample(schema apiextensionsv1.JSONSchemaProps) any {
	switch schema.Type {
	case "object":
		value := map[string]any{}
		for name, property := range schema.Properties {
			value[name] = sample(property)
		}
		return value
	case "array":
		item := sample(*schema.Items.Schema)
		if condition, ok := item.(map[string]any); ok {
			if _, ok := condition["lastTransitionTime"]; ok {
				condition["type"] = "Ready"
			}
		}
		return []any{item}
	case "integer":
		return int64(1)
	case "boolean":
		return true
	default:
		return "x"
	}
}

// TestEveryFieldIsDescribed keeps `kubectl explain` useful: every field has a description that begins with its name, and
// every string, list and map has a limit, without which rules cannot be priced.
func TestEveryFieldIsDescribed(t *testing.T) {
	for kind, d := range definitions(t) {
		t.Run(kind, func(t *testing.T) {
			for _, part := range []string{"spec", "status"} {
				if schema, ok := d.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties[part]; ok {
					checkField(t, part, schema)
				}
			}
		})
	}
}

func checkField(t *testing.T, path string, schema apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	name := path[strings.LastIndex(path, ".")+1:]
	if schema.Description == "" {
		t.Errorf("%s has no description", path)
	}
	switch {
	case strings.Contains(path, "conditions.") || strings.HasSuffix(path, "template.metadata"):
		return // Types of Kubernetes and Cluster API.
	case !strings.HasPrefix(schema.Description, name):
		t.Errorf("the description of %s does not begin with its name: %q", path, schema.Description)
	case schema.Type == "string" && schema.Enum == nil && schema.MaxLength == nil && schema.Format == "":
		t.Errorf("%s is a string without maximal length", path)
	case schema.Type == "array" && schema.MaxItems == nil && !strings.HasSuffix(path, "status.addresses"):
		t.Errorf("%s is a list without maximal length", path)
	case schema.Type == "array" && schema.XListType == nil && !strings.HasSuffix(path, "status.addresses"):
		t.Errorf("%s is a list without listType", path)
	}
	for child, property := range schema.Properties {
		checkField(t, path+"."+child, property)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		for child, property := range schema.Items.Schema.Properties {
			checkField(t, path+"."+child, property)
		}
	}
}

// TestNoEmptyObjects makes sure that an object of which only the required fields are set is written without any other.
func TestNoEmptyObjects(t *testing.T) {
	for want, object := range map[string]any{
		`{"metadata":{},"spec":{"metro":"da"}}`:               &infrav1.PacketCluster{Spec: infrav1.PacketClusterSpec{Metro: "da"}},
		`{"metadata":{},"spec":{"os":"a","machineType":"b"}}`: &infrav1.PacketMachine{Spec: infrav1.PacketMachineSpec{OS: "a", MachineType: "b"}},
		`{"metadata":{}}`: &infrav1.PacketRemediation{},
		`{"metadata":{},"spec":{"template":{"spec":{"os":"a","machineType":"b"}}}}`:          &infrav1.PacketMachinePool{Spec: infrav1.PacketMachinePoolSpec{Template: infrav1.PacketMachinePoolMachineTemplate{Spec: infrav1.PacketMachineSpec{OS: "a", MachineType: "b"}}}},
		`{"metadata":{},"spec":{"template":{"spec":{"strategy":{"steps":["PowerCycle"]}}}}}`: &infrav1.PacketRemediationTemplate{Spec: infrav1.PacketRemediationTemplateSpec{Template: infrav1.PacketRemediationTemplateResource{Spec: infrav1.PacketRemediationSpec{Strategy: infrav1.PacketRemediationStrategy{Steps: []infrav1.PacketRemediationStep{infrav1.RemediationPowerCycle}}}}}},
	} {
		if got, err := json.Marshal(object); err != nil || string(got) != want {
			t.Errorf("%T is %s, want %s (%v)", object, got, want, err)
		}
	}
}
