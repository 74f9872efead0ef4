package manager

import (
	"crypto/rand"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sigs.k8s.io/cluster-api/controllers/clustercache"
	coresetup "sigs.k8s.io/cluster-api/core/setup"
	"sigs.k8s.io/cluster-api/util/secret"
)

// cacheOptions are those of the core manager, with one difference: the core manager drops the data of all Secrets but
// kubeconfigs, while the kubeadm providers read certificates from the same cache too.
//
// What the kubeadm managers leave out of their caches (the spec of worker Machines and of MachineSets, the KubeadmConfigs of
// workers) has to stay in, since the core controllers in this process work on it.
func cacheOptions(scheme *runtime.Scheme, o Options) (ctrlcache.Options, error) {
	// Upstream names its informers for metrics of their own. Here several kinds are watched twice, typed by their own
	// controller and untyped by the core ones, and every second informer would log an error about the name it shares. The
	// name is given up again, but a process that gave the same one twice would panic.
	options := coresetup.ManagerCacheOptions(scheme, controllerName+"-"+rand.Text(), o.Namespace, o.SyncPeriod)
	options.NewInformer = nil
	for object, byObject := range options.ByObject {
		if _, ok := object.(*corev1.Secret); ok {
			byObject.Transform = keepPurposefulSecretData
			options.ByObject[object] = byObject
			return options, nil
		}
	}
	return options, fmt.Errorf("the cache options of Cluster API's core manager do not mention Secrets any more")
}

// keepPurposefulSecretData drops the data of Secrets that no controller reads from the cache.
func keepPurposefulSecretData(in any) (any, error) {
	if s, ok := in.(*corev1.Secret); ok {
		s.SetManagedFields(nil)
		if !secret.HasPurposeSuffix(s.Name) {
			s.Data = nil
		}
	}
	return in, nil
}

// clientOptions are the same in all of upstream's managers: Secrets and ConfigMaps are read live.
func clientOptions() client.Options {
	return coresetup.ManagerClientOptions()
}

// clusterCacheOptions are those of the core manager (full Nodes, with an index of provider IDs); the kubeadm control
// plane's trimmed Nodes and Pods would not do for the Machine controller.
func clusterCacheOptions(secretClient client.Reader, o Options) clustercache.Options {
	clientOptions := coresetup.ClusterCacheClientOptions(controllerName, o.ClusterCacheQPS, o.ClusterCacheBurst)
	clientOptions.Timeout = o.ClusterCacheTimeout
	// The control plane provider also reads these, seldom: it is not worth a watch in every workload cluster.
	clientOptions.Cache.DisableFor = append(clientOptions.Cache.DisableFor, &appsv1.Deployment{})
	return clustercache.Options{
		SecretClient:     secretClient,
		Cache:            coresetup.ClusterCacheCacheOptions(),
		Client:           clientOptions,
		WatchFilterValue: o.WatchFilterValue,
	}
}

// newSecretMetadataCache returns a cache of the metadata of all Secrets. ClusterResourceSets refer to Secrets that do not
// carry the label of a cluster, so the manager's own cache does not hold them.
func newSecretMetadataCache(mgr ctrl.Manager, o Options) (ctrlcache.Cache, error) {
	var namespaces map[string]ctrlcache.Config
	if o.Namespace != "" {
		namespaces = map[string]ctrlcache.Config{o.Namespace: {}}
	}
	secrets, err := ctrlcache.New(mgr.GetConfig(), ctrlcache.Options{
		Scheme:            mgr.GetScheme(),
		Mapper:            mgr.GetRESTMapper(),
		HTTPClient:        mgr.GetHTTPClient(),
		SyncPeriod:        &o.SyncPeriod,
		DefaultNamespaces: namespaces,
		DefaultTransform: func(in any) (any, error) {
			if _, ok := in.(*metav1.PartialObjectMetadata); !ok {
				return nil, fmt.Errorf("the cache of Secret metadata was given a %T", in)
			}
			return ctrlcache.TransformStripManagedFields()(in)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("making the cache of Secret metadata: %w", err)
	}
	if err := mgr.Add(secrets); err != nil {
		return nil, fmt.Errorf("adding the cache of Secret metadata: %w", err)
	}
	return secrets, nil
}
