package credentials

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	addonsv1 "sigs.k8s.io/cluster-api/api/addons/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// NewSecretCache adds to a manager a cache of the metadata of Secrets that can hold credentials. Those that Cluster API
// makes, which are nearly all, are left out by the API server, and no content of any Secret is held. The namespaces are
// those that the manager is limited to; an empty one means all.
func NewSecretCache(mgr ctrl.Manager, namespaces ...string) (cache.Cache, error) {
	options := cache.Options{
		Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient(),
		DefaultTransform: cache.TransformStripManagedFields(),
		DefaultFieldSelector: fields.AndSelectors(
			fields.OneTermNotEqualSelector("type", string(clusterv1.ClusterSecretType)),
			fields.OneTermNotEqualSelector("type", string(addonsv1.ClusterResourceSetSecretType)),
			fields.OneTermNotEqualSelector("type", string(corev1.SecretTypeServiceAccountToken)),
			fields.OneTermNotEqualSelector("type", string(corev1.SecretTypeBootstrapToken)),
		),
	}
	if !slices.Contains(namespaces, "") {
		options.DefaultNamespaces = map[string]cache.Config{}
		for _, namespace := range namespaces {
			options.DefaultNamespaces[namespace] = cache.Config{}
		}
	}
	secrets, err := cache.New(mgr.GetConfig(), options)
	if err != nil {
		return nil, fmt.Errorf("making the cache of the metadata of Secrets: %w", err)
	}
	if err := mgr.Add(secrets); err != nil {
		return nil, fmt.Errorf("adding the cache of the metadata of Secrets: %w", err)
	}
	return secrets, nil
}

// Changes is a source of the requests that follow from changes of Secrets.
func Changes(secrets cache.Cache, follow func(ctx context.Context, secret client.ObjectKey) []reconcile.Request) source.Source {
	return source.Kind(secrets, secretMetadata(), handler.TypedEnqueueRequestsFromMapFunc(
		func(ctx context.Context, secret *metav1.PartialObjectMetadata) []reconcile.Request {
			return follow(ctx, client.ObjectKeyFromObject(secret))
		}))
}

func secretMetadata() *metav1.PartialObjectMetadata {
	metadata := &metav1.PartialObjectMetadata{}
	metadata.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	return metadata
}
