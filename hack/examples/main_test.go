package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOutputsAreCurrent fails when an example or a template was edited by hand,
// or when the cloud controller manager's manifest changed and nobody generated.
func TestOutputsAreCurrent(t *testing.T) {
	const root = "../.."
	files, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Error(err)
			continue
		}
		if string(got) != string(want) {
			t.Errorf("%s is not what the generator makes; run: make generate", path)
		}
	}
}

func TestRenderKeepsTheManifest(t *testing.T) {
	manifest := "kind: ServiceAccount\n\nmetadata:\n  name: ccm\n"
	out, err := render(example(false, "comment"), manifest)
	if err != nil {
		t.Fatal(err)
	}
	want := "  packet-cloud-controller-manager.yaml: |\n    kind: ServiceAccount\n\n    metadata:\n      name: ccm\n"
	if !strings.HasSuffix(string(out), want) {
		t.Errorf("the cluster ends with\n%s\nwant\n%s", out[max(0, len(out)-200):], want)
	}
}

func TestRenderRefusesVariablesInTheManifest(t *testing.T) {
	if _, err := render(clusterTemplate(true), "args: [${NODE}]"); err == nil {
		t.Error("a manifest with a variable was accepted: clusterctl would replace it")
	}
}

// TestExamplesNeedNoVariables: the examples are applied as they stand.
func TestExamplesNeedNoVariables(t *testing.T) {
	for path, c := range outputs() {
		if !strings.HasPrefix(path, "example/") {
			continue
		}
		out, err := render(c, "kind: ServiceAccount")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(out), "${") {
			t.Errorf("%s holds a variable", path)
		}
	}
}
