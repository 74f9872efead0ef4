package components

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// longestAnnotation is what the API server takes for all annotations of an object together. `kubectl apply` keeps the whole
// object in one, so no object may come close.
const longestAnnotation = 256 * 1024

// contractGroups are the API groups whose CustomResourceDefinitions tell their contract version in labels, and whose v1beta1
// objects ClusterClasses may still name.
var contractGroups = map[string]bool{
	"bootstrap.cluster.x-k8s.io":    true,
	"controlplane.cluster.x-k8s.io": true,
}

// customResourceDefinitions are those of some providers.
func customResourceDefinitions(upstream, ours fs.FS, named Provider, providers []Provider) (Manifests, error) {
	var all Manifests
	for _, provider := range providers {
		files, folder := ours, "crd/bases"
		if provider.upstream != "" {
			files, folder = upstream, path.Join(provider.upstream, "crd/bases")
		}
		definitions, err := readFolders(files, folder)
		if err != nil {
			return nil, err
		}
		for _, definition := range definitions {
			if provider.upstream == "" {
				continue
			}
			if err := prepareUpstream(definition, named); err != nil {
				return nil, fmt.Errorf("preparing CustomResourceDefinition %s: %w", definition.GetName(), err)
			}
		}
		all = append(all, definitions...)
	}
	for _, definition := range all {
		encoded, err := json.Marshal(definition.Object)
		if err != nil {
			return nil, fmt.Errorf("encoding CustomResourceDefinition %s: %w", definition.GetName(), err)
		}
		if len(encoded) > longestAnnotation*9/10 {
			return nil, fmt.Errorf("CustomResourceDefinition %s has %d bytes: `kubectl apply` could not keep it in an annotation",
				definition.GetName(), len(encoded))
		}
	}
	return all, nil
}

// prepareUpstream does what Cluster API's kustomizations do for a release: labels, and conversion by webhook. Versions that
// are not stored any more lose their descriptions: they are two thirds of what the API server has to read, check and keep,
// and `kubectl explain` shows the stored version.
func prepareUpstream(definition *unstructured.Unstructured, named Provider) error {
	group, _, err := unstructured.NestedString(definition.Object, "spec", "group")
	if err != nil {
		return err
	}
	if contractGroups[group] {
		addLabels(definition, map[string]string{"cluster.x-k8s.io/v1beta1": "v1beta1", "cluster.x-k8s.io/v1beta2": "v1beta2"})
	}
	versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	if err != nil {
		return err
	}
	if len(versions) < 2 {
		return nil
	}
	for _, v := range versions {
		version, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("spec.versions has a %T", v)
		}
		if stored, _ := version["storage"].(bool); !stored {
			dropDescriptions(version["schema"])
		}
	}
	if err := unstructured.SetNestedSlice(definition.Object, versions, "spec", "versions"); err != nil {
		return err
	}
	addLabels(definition, map[string]string{injectLabel: named.WebhookService()})
	return unstructured.SetNestedMap(definition.Object, map[string]any{
		"strategy": "Webhook",
		"webhook": map[string]any{
			"conversionReviewVersions": []any{"v1"},
			"clientConfig": map[string]any{
				"service": map[string]any{"namespace": named.Namespace, "name": named.WebhookService(), "path": "/convert"},
			},
		},
	}, "spec", "conversion")
}

// dropDescriptions removes the descriptions of a schema, and not the properties that are called description.
func dropDescriptions(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		if _, ok := s["description"].(string); ok {
			delete(s, "description")
		}
		for _, value := range s {
			dropDescriptions(value)
		}
	case []any:
		for _, value := range s {
			dropDescriptions(value)
		}
	}
}
