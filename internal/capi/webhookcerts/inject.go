package webhookcerts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// InjectLabel marks the webhook configurations and CustomResourceDefinitions that the authority's certificate is written
// into. Its value is the name of the Service in front of the webhooks: several managers can share a bootstrap cluster, each
// with an authority of its own.
const InjectLabel = "infrastructure.cluster.x-k8s.io/inject-webhook-ca"

// parallelPatches is how many CustomResourceDefinitions are patched at a time. The API server spends most of the time on
// checking their schemas, so a few in parallel are enough to keep it busy.
const parallelPatches = 4

// injector writes the certificate of the authority where the API server looks for it.
type injector struct {
	client  client.Client
	service client.ObjectKey
	// generations remembers which generation of a CustomResourceDefinition is known to hold which certificate. The
	// objects are large (several hundred kB of schema), so they are never read: a patch that changes nothing is cheap.
	generations map[string]injected
}

type injected struct {
	generation int64
	caCerts    string
}

func (i *injector) inject(ctx context.Context, caCerts []byte) error {
	return errors.Join(
		i.injectDefinitions(ctx, caCerts),
		i.injectValidating(ctx, caCerts),
		i.injectMutating(ctx, caCerts),
	)
}

func (i *injector) injectDefinitions(ctx context.Context, caCerts []byte) error {
	definitions := &metav1.PartialObjectMetadataList{}
	definitions.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinitionList"))
	if err := i.client.List(ctx, definitions, client.MatchingLabels{InjectLabel: i.service.Name}); err != nil {
		return fmt.Errorf("listing CustomResourceDefinitions with label %s=%s: %w", InjectLabel, i.service.Name, err)
	}
	body, err := json.Marshal(map[string]any{"spec": map[string]any{"conversion": map[string]any{"webhook": map[string]any{
		"clientConfig": map[string]any{"caBundle": caCerts},
	}}}})
	if err != nil {
		return fmt.Errorf("encoding the patch of CustomResourceDefinitions: %w", err)
	}

	var (
		wait    sync.WaitGroup
		mutex   sync.Mutex
		errs    []error
		limiter = make(chan struct{}, parallelPatches)
	)
	for n := range definitions.Items {
		definition := &definitions.Items[n]
		mutex.Lock()
		known := i.generations[definition.Name] == injected{definition.Generation, string(caCerts)}
		mutex.Unlock()
		if known {
			continue
		}
		limiter <- struct{}{}
		wait.Go(func() {
			defer func() { <-limiter }()
			definition.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
			err := i.client.Patch(ctx, definition, client.RawPatch(types.MergePatchType, body))
			mutex.Lock()
			defer mutex.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("writing the CA of the conversion webhook into CustomResourceDefinition %s: %w", definition.Name, err))
				return
			}
			i.generations[definition.Name] = injected{definition.Generation, string(caCerts)}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (i *injector) injectValidating(ctx context.Context, caCerts []byte) error {
	list := &admissionv1.ValidatingWebhookConfigurationList{}
	if err := i.client.List(ctx, list, client.MatchingLabels{InjectLabel: i.service.Name}); err != nil {
		return fmt.Errorf("listing ValidatingWebhookConfigurations with label %s=%s: %w", InjectLabel, i.service.Name, err)
	}
	for n := range list.Items {
		config, changed := &list.Items[n], false
		for w := range config.Webhooks {
			changed = i.set(&config.Webhooks[w].ClientConfig, caCerts) || changed
		}
		if err := i.update(ctx, config, changed); err != nil {
			return fmt.Errorf("writing the CA into ValidatingWebhookConfiguration %s: %w", config.Name, err)
		}
	}
	return nil
}

func (i *injector) injectMutating(ctx context.Context, caCerts []byte) error {
	list := &admissionv1.MutatingWebhookConfigurationList{}
	if err := i.client.List(ctx, list, client.MatchingLabels{InjectLabel: i.service.Name}); err != nil {
		return fmt.Errorf("listing MutatingWebhookConfigurations with label %s=%s: %w", InjectLabel, i.service.Name, err)
	}
	for n := range list.Items {
		config, changed := &list.Items[n], false
		for w := range config.Webhooks {
			changed = i.set(&config.Webhooks[w].ClientConfig, caCerts) || changed
		}
		if err := i.update(ctx, config, changed); err != nil {
			return fmt.Errorf("writing the CA into MutatingWebhookConfiguration %s: %w", config.Name, err)
		}
	}
	return nil
}

// set writes the certificate into one webhook, if that webhook is served by this manager.
func (i *injector) set(config *admissionv1.WebhookClientConfig, caCerts []byte) bool {
	if config.Service == nil || config.Service.Namespace != i.service.Namespace || config.Service.Name != i.service.Name {
		return false
	}
	if bytes.Equal(config.CABundle, caCerts) {
		return false
	}
	config.CABundle = caCerts
	return true
}

func (i *injector) update(ctx context.Context, config client.Object, changed bool) error {
	if !changed {
		return nil
	}
	err := i.client.Update(ctx, config)
	if apierrors.IsConflict(err) {
		// Another replica was faster, with the same certificate. The watch on the object brings us back if not.
		return nil
	}
	return err
}
