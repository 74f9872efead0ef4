// Package crds changes CustomResourceDefinitions of other projects for this repository, which has copies of some.
package crds

// WithoutDescriptions takes the descriptions out of a schema, as it was decoded from YAML: `kubectl explain` is all that would show
// them, and they are most of a definition's size. A property may be called description itself: its value is an object, which stays.
func WithoutDescriptions(schema any) {
	switch schema := schema.(type) {
	case map[string]any:
		if _, text := schema["description"].(string); text {
			delete(schema, "description")
		}
		for _, child := range schema {
			WithoutDescriptions(child)
		}
	case []any:
		for _, child := range schema {
			WithoutDescriptions(child)
		}
	}
}
