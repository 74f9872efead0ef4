package kubeproxy

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	discoveryv1client "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// ours selects what a kube-proxy serves: not headless services, and none that
// name another proxy.
const ours = "!" + v1.IsHeadlessService + ",!service.kubernetes.io/service-proxy-name"

// serviceWatch follows the API server's services and their endpoints.
type serviceWatch struct {
	// changed has an element when something changed since it was last emptied.
	changed chan struct{}

	node                               string
	services, slices                   cache.Store
	serviceController, sliceController cache.Controller
}

func newServiceWatch(config *rest.Config, node string) (*serviceWatch, error) {
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("building the API client: %w", err)
	}
	core, err := corev1client.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("building the API client for services: %w", err)
	}
	discovery, err := discoveryv1client.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("building the API client for endpoint slices: %w", err)
	}
	w := &serviceWatch{changed: make(chan struct{}, 1), node: node}
	w.services, w.serviceController = w.follow(core.RESTClient(), "services", &v1.Service{}, slimService)
	w.slices, w.sliceController = w.follow(discovery.RESTClient(), "endpointslices", &discoveryv1.EndpointSlice{}, slimSlice)
	return w, nil
}

func (w *serviceWatch) follow(client rest.Interface, resource string, kind runtime.Object, slim cache.TransformFunc) (cache.Store, cache.Controller) {
	return cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewFilteredListWatchFromClient(client, resource, metav1.NamespaceAll, func(o *metav1.ListOptions) {
			o.LabelSelector = ours
		}),
		ObjectType: kind,
		Transform:  slim,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { w.notify() },
			UpdateFunc: func(any, any) { w.notify() },
			DeleteFunc: func(any) { w.notify() },
		},
	})
}

func (w *serviceWatch) notify() {
	select {
	case w.changed <- struct{}{}:
	default: // A change is already announced, and will find this one too.
	}
}

// run follows the API until the context ends.
func (w *serviceWatch) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { w.serviceController.RunWithContext(ctx); return ctx.Err() })
	group.Go(func() error { w.sliceController.RunWithContext(ctx); return ctx.Err() })
	group.Go(func() error {
		// A cluster without any service would never announce a change.
		if cache.WaitForCacheSync(ctx.Done(), w.synced) {
			w.notify()
		}
		return nil
	})
	return group.Wait()
}

// synced reports whether everything that exists has been read once.
func (w *serviceWatch) synced() bool {
	return w.serviceController.HasSynced() && w.sliceController.HasSynced()
}

// rules returns what shall be served now.
func (w *serviceWatch) rules() rules {
	return buildRules(items[*v1.Service](w.services), items[*discoveryv1.EndpointSlice](w.slices), w.node)
}

func items[T any](store cache.Store) []T {
	var list []T
	for _, item := range store.List() {
		if object, ok := item.(T); ok {
			list = append(list, object)
		}
	}
	return list
}

// slimService drops what the proxy does not read before the object is kept.
func slimService(object any) (any, error) {
	s, ok := object.(*v1.Service)
	if !ok {
		return object, nil // A tombstone of the cache's.
	}
	return &v1.Service{
		ObjectMeta: slimMeta(&s.ObjectMeta),
		Spec:       s.Spec,
		Status:     v1.ServiceStatus{LoadBalancer: s.Status.LoadBalancer},
	}, nil
}

// slimSlice drops what the proxy does not read before the object is kept.
func slimSlice(object any) (any, error) {
	s, ok := object.(*discoveryv1.EndpointSlice)
	if !ok {
		return object, nil // A tombstone of the cache's.
	}
	slim := &discoveryv1.EndpointSlice{
		ObjectMeta:  slimMeta(&s.ObjectMeta),
		AddressType: s.AddressType,
		Ports:       s.Ports,
		Endpoints:   make([]discoveryv1.Endpoint, len(s.Endpoints)),
	}
	slim.Labels = map[string]string{discoveryv1.LabelServiceName: s.Labels[discoveryv1.LabelServiceName]}
	for i, e := range s.Endpoints {
		slim.Endpoints[i] = discoveryv1.Endpoint{Addresses: e.Addresses, Conditions: e.Conditions, NodeName: e.NodeName}
	}
	return slim, nil
}

func slimMeta(m *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion}
}
