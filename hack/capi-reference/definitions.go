package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// kinds are the kinds in the order of the page, with the fields that are those of another kind: they are told once.
var kinds = []struct {
	name string
	same map[string]string
}{
	{name: "PacketCluster"},
	{name: "PacketMachine"},
	{name: "PacketMachineTemplate", same: map[string]string{"spec.template.spec": "PacketMachine"}},
	{name: "PacketMachinePool", same: map[string]string{"spec.template.spec": "PacketMachine"}},
	{name: "PacketRemediation"},
	{name: "PacketRemediationTemplate", same: map[string]string{"spec.template.spec": "PacketRemediation"}},
	{name: "PacketClusterTemplate", same: map[string]string{"spec.template.spec": "PacketCluster"}},
	{name: "PacketMachinePoolTemplate", same: map[string]string{"spec.template.spec": "PacketMachinePool"}},
}

// definition is what the page needs of a CustomResourceDefinition.
type definition struct {
	names   apiextensionsv1.CustomResourceDefinitionNames
	schema  apiextensionsv1.JSONSchemaProps
	columns []apiextensionsv1.CustomResourceColumnDefinition
}

// readDefinitions reads all definitions of a folder, by kind. It is an error if one is not on the page.
func readDefinitions(folder string) (map[string]definition, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("looking for definitions: %w", err)
	}
	if len(files) != len(kinds) {
		return nil, fmt.Errorf("%s has %d definitions, and the page is about %d kinds", folder, len(files), len(kinds))
	}
	all := map[string]definition{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading a definition: %w", err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(content, &crd); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		version := crd.Spec.Versions[0]
		all[crd.Spec.Names.Kind] = definition{names: crd.Spec.Names, schema: *version.Schema.OpenAPIV3Schema, columns: version.AdditionalPrinterColumns}
	}
	for _, kind := range kinds {
		if _, ok := all[kind.name]; !ok {
			return nil, fmt.Errorf("%s has no definition of %s", folder, kind.name)
		}
		for path, other := range kind.same {
			here, found := at(all[kind.name].schema, path)
			there := all[other].schema.Properties["spec"]
			if !found || !reflect.DeepEqual(here.Properties, there.Properties) {
				return nil, fmt.Errorf("%s of %s is not the spec of %s", path, kind.name, other)
			}
		}
	}
	return all, nil
}
