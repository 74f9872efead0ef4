package components

import (
	"fmt"
	"io/fs"
	"path"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// mergeWebhooks adds the webhooks of Cluster API's managers to our two configurations, and makes all of them call our
// Service.
func mergeWebhooks(upstream fs.FS, objects Manifests) error {
	for _, kind := range []string{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"} {
		var ours *unstructured.Unstructured
		for _, object := range objects {
			if object.GetKind() == kind {
				ours = object
			}
		}
		if ours == nil {
			return fmt.Errorf("there is no %s to merge the webhooks of Cluster API into", kind)
		}
		webhooks, _, err := unstructured.NestedSlice(ours.Object, "webhooks")
		if err != nil {
			return fmt.Errorf("reading the webhooks of %s: %w", kind, err)
		}
		for _, manager := range upstreamManagers {
			configurations, err := readFile(upstream, path.Join(manager, "webhook/manifests.yaml"))
			if err != nil {
				return err
			}
			for _, configuration := range configurations {
				if configuration.GetKind() != kind {
					continue
				}
				more, _, err := unstructured.NestedSlice(configuration.Object, "webhooks")
				if err != nil {
					return fmt.Errorf("reading the webhooks of %s of %s: %w", kind, manager, err)
				}
				webhooks = append(webhooks, more...)
			}
		}
		for _, w := range webhooks {
			webhook, ok := w.(map[string]any)
			if !ok {
				return fmt.Errorf("a webhook of %s is a %T", kind, w)
			}
			for field, value := range map[string]string{"namespace": namespace, "name": webhookService} {
				if err := unstructured.SetNestedField(webhook, value, "clientConfig", "service", field); err != nil {
					return fmt.Errorf("setting the Service of webhook %v: %w", webhook["name"], err)
				}
			}
		}
		if err := unstructured.SetNestedSlice(ours.Object, webhooks, "webhooks"); err != nil {
			return fmt.Errorf("setting the webhooks of %s: %w", kind, err)
		}
		addLabels(ours, map[string]string{injectLabel: "true"})
	}
	return nil
}
