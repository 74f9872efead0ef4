// Command metallb-crds writes the definitions of MetalLB's custom resources into the chart that the Gardener extension brings them
// to Shoots with. They are those that MetalLB releases, out of the module that it is released as, without the descriptions:
// `kubectl explain` is all that would show them, and they are most of the size.
//
//	metallb-crds <folder of the module> <folder of the templates>
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/packetyard/packetyard/hack/internal/crds"
)

const header = "{{- /* Written by hack/metallb-crds from MetalLB's module. Do not edit: run hack/generate-gardener.sh. */ -}}\n{{- if .Values.metallb.enabled }}\n"

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "metallb-crds: two arguments are needed: the folder of MetalLB's module, and that of the templates")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "metallb-crds:", err)
		os.Exit(1)
	}
}

func run(module, templates string) error {
	files, err := filepath.Glob(filepath.Join(module, "config", "crd", "bases", "*.yaml"))
	if err != nil {
		return fmt.Errorf("looking for definitions: %w", err)
	}
	if len(files) == 0 {
		return fmt.Errorf("there are no definitions in %s", filepath.Join(module, "config", "crd", "bases"))
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading a definition: %w", err)
		}
		definition := map[string]any{}
		if err := yaml.Unmarshal(content, &definition); err != nil {
			return fmt.Errorf("decoding %s: %w", file, err)
		}
		if err := convert(definition); err != nil {
			return fmt.Errorf("changing %s: %w", file, err)
		}
		text, err := yaml.Marshal(definition)
		if err != nil {
			return fmt.Errorf("encoding %s: %w", file, err)
		}
		if strings.Contains(string(text), "{{") {
			return fmt.Errorf("%s has braces, which Helm would take for a template", file)
		}
		target := filepath.Join(templates, strings.TrimPrefix(filepath.Base(file), "metallb.io_"))
		if err := os.WriteFile(target, []byte(header+string(text)+"{{- end }}\n"), 0o644); err != nil {
			return fmt.Errorf("writing the definition: %w", err)
		}
	}
	return nil
}

// convert takes out what Shoots do not need.
func convert(definition map[string]any) error {
	versions, _, err := unstructured.NestedSlice(definition, "spec", "versions")
	if err != nil {
		return err
	}
	for _, version := range versions {
		version := version.(map[string]any)
		if deprecated, _ := version["deprecated"].(bool); deprecated {
			// It takes a webhook to convert it, and no Shoot has ever had any.
			version["served"] = false
		}
		crds.WithoutDescriptions(version["schema"])
	}
	return unstructured.SetNestedSlice(definition, versions, "spec", "versions")
}
