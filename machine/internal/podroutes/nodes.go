package podroutes

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// nodeWatch follows the API server's Nodes, of which it keeps what routes need.
type nodeWatch struct {
	// changed has an element when something changed since it was last emptied.
	changed chan struct{}

	store      cache.Store
	controller cache.Controller
}

// listWatch reads the Nodes of an API server. The cluster role
// system:node-proxier, which kubeadm gives to kube-proxy, allows that.
func listWatch(config *rest.Config) (cache.ListerWatcher, error) {
	core, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("building the API client for nodes: %w", err)
	}
	return cache.NewListWatchFromClient(core.RESTClient(), "nodes", metav1.NamespaceAll, fields.Everything()), nil
}

func newNodeWatch(source cache.ListerWatcher) *nodeWatch {
	w := &nodeWatch{changed: make(chan struct{}, 1)}
	w.store, w.controller = cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: source,
		ObjectType:    &v1.Node{},
		Transform:     slimNode,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { w.notify() },
			UpdateFunc: func(before, after any) {
				// Every kubelet reports its node's condition all the time.
				if !sameRoutes(before, after) {
					w.notify()
				}
			},
			DeleteFunc: func(any) { w.notify() },
		},
	})
	return w
}

func (w *nodeWatch) notify() {
	select {
	case w.changed <- struct{}{}:
	default: // A change is already announced, and will find this one too.
	}
}

// run follows the API until the context ends.
func (w *nodeWatch) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { w.controller.RunWithContext(ctx); return ctx.Err() })
	group.Go(func() error {
		// The announcement of the last Node may be emptied before the list counts as read.
		if cache.WaitForCacheSync(ctx.Done(), w.synced) {
			w.notify()
		}
		return nil
	})
	return group.Wait()
}

// synced reports whether all Nodes that exist have been read once.
func (w *nodeWatch) synced() bool { return w.controller.HasSynced() }

// nodes returns all Nodes, in no particular order.
func (w *nodeWatch) nodes() []*v1.Node {
	var nodes []*v1.Node
	for _, item := range w.store.List() {
		if node, ok := item.(*v1.Node); ok {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// slimNode drops what routes do not depend on before the object is kept.
func slimNode(object any) (any, error) {
	n, ok := object.(*v1.Node)
	if !ok {
		return object, nil // A tombstone of the cache's.
	}
	slim := &v1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion, CreationTimestamp: n.CreationTimestamp,
	}}
	slim.Spec.PodCIDR, slim.Spec.PodCIDRs = n.Spec.PodCIDR, n.Spec.PodCIDRs
	slim.Status.Addresses = n.Status.Addresses
	return slim, nil
}

// sameRoutes tells whether a Node's update has nothing to do with routes.
func sameRoutes(before, after any) bool {
	a, isNode := before.(*v1.Node)
	b, isNodeToo := after.(*v1.Node)
	return isNode && isNodeToo && a.UID == b.UID &&
		a.Spec.PodCIDR == b.Spec.PodCIDR && slices.Equal(a.Spec.PodCIDRs, b.Spec.PodCIDRs) &&
		slices.Equal(a.Status.Addresses, b.Status.Addresses)
}
