package components

import (
	"fmt"
	"io/fs"
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var webhookKinds = []string{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}

// dropWebhooks takes the webhooks of our types out of their configurations, for providers that do not serve them.
func dropWebhooks(objects Manifests) {
	for _, object := range objects {
		if slices.Contains(webhookKinds, object.GetKind()) {
			object.Object["webhooks"] = []any{}
		}
	}
}

// mergeWebhooks adds the webhooks of Cluster API's providers to our two configurations, and makes all of them call the
// Service of the process. A configuration without webhooks is left out.
func mergeWebhooks(upstream fs.FS, objects Manifests, named Provider, providers []Provider) (Manifests, error) {
	for _, kind := range webhookKinds {
		var ours *unstructured.Unstructured
		for _, object := range objects {
			if object.GetKind() == kind {
				ours = object
			}
		}
		if ours == nil {
			return nil, fmt.Errorf("there is no %s to merge the webhooks of Cluster API into", kind)
		}
		webhooks, _, err := unstructured.NestedSlice(ours.Object, "webhooks")
		if err != nil {
			return nil, fmt.Errorf("reading the webhooks of %s: %w", kind, err)
		}
		for _, provider := range providers {
			more, err := provider.webhooks(upstream, kind)
			if err != nil {
				return nil, err
			}
			webhooks = append(webhooks, more...)
		}
		for _, w := range webhooks {
			webhook, ok := w.(map[string]any)
			if !ok {
				return nil, fmt.Errorf("a webhook of %s is a %T", kind, w)
			}
			for field, value := range map[string]string{"namespace": named.Namespace, "name": named.WebhookService()} {
				if err := unstructured.SetNestedField(webhook, value, "clientConfig", "service", field); err != nil {
					return nil, fmt.Errorf("setting the Service of webhook %v: %w", webhook["name"], err)
				}
			}
		}
		if err := unstructured.SetNestedSlice(ours.Object, webhooks, "webhooks"); err != nil {
			return nil, fmt.Errorf("setting the webhooks of %s: %w", kind, err)
		}
		addLabels(ours, map[string]string{injectLabel: named.WebhookService()})
	}
	return slices.DeleteFunc(objects, func(object *unstructured.Unstructured) bool {
		webhooks, _, _ := unstructured.NestedSlice(object.Object, "webhooks")
		return slices.Contains(webhookKinds, object.GetKind()) && len(webhooks) == 0
	}), nil
}

// webhooks are those that Cluster API's manifests have for the provider.
func (p Provider) webhooks(upstream fs.FS, kind string) ([]any, error) {
	if p.upstream == "" {
		return nil, nil
	}
	configurations, err := readFile(upstream, path.Join(p.upstream, "webhook/manifests.yaml"))
	if err != nil {
		return nil, err
	}
	var webhooks []any
	for _, configuration := range configurations {
		if configuration.GetKind() != kind {
			continue
		}
		more, _, err := unstructured.NestedSlice(configuration.Object, "webhooks")
		if err != nil {
			return nil, fmt.Errorf("reading the webhooks of %s of %s: %w", kind, p.upstream, err)
		}
		webhooks = append(webhooks, more...)
	}
	return webhooks, nil
}
