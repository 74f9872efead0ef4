package crds

import (
	"testing"

	"sigs.k8s.io/yaml"
)

func TestWithoutDescriptions(t *testing.T) {
	const before = `
description: The whole.
properties:
  description:
    description: A property of this name.
    type: string
  either:
    anyOf:
    - description: In a list.
      type: integer
    - type: string
`
	const after = `properties:
  description:
    type: string
  either:
    anyOf:
    - type: integer
    - type: string
`
	var schema any
	if err := yaml.Unmarshal([]byte(before), &schema); err != nil {
		t.Fatal(err)
	}
	WithoutDescriptions(schema)
	got, err := yaml.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != after {
		t.Errorf("the schema is\n%s, want\n%s", got, after)
	}
}
