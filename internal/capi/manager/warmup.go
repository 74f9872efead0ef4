package manager

import (
	"context"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// warmUp asks for one object of every kind that the caches are about to watch.
//
// The API server builds the storage of a custom resource when it is first asked for, and again after its definition was
// changed, which writing the webhook certificates does. Whoever asks first for a watch is told to come back in a second
// (429, Retry-After: 1), and caches start one after the other, so that adds up. A list is answered at once, and leaves the
// storage ready. Errors do not matter here: the caches will see them too, and say so.
func warmUp(ctx context.Context, reader client.Reader, scheme *runtime.Scheme) {
	var wait sync.WaitGroup
	for kind := range scheme.AllKnownTypes() {
		if kind.Version != clusterv1.GroupVersion.Version || !strings.HasSuffix(kind.Group, clusterv1.GroupVersion.Group) ||
			!strings.HasSuffix(kind.Kind, "List") {
			continue
		}
		wait.Go(func() {
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(kind)
			_ = reader.List(ctx, list, client.Limit(1))
		})
	}
	wait.Wait()
}
