package yard

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/yard/clusterfile"
)

// keepReplicas makes a file want as many machines as there are wanted now,
// where the user has scaled since it was applied and does not ask for a
// number this time: running `up` again must not take machines away. It
// returns what it kept, in words.
func keepReplicas(ctx context.Context, cluster client.Client, file *clusterfile.File, controlPlanes, workers bool) ([]string, error) {
	var kept []string
	for _, replica := range file.Replicas() {
		if replica.ControlPlane && !controlPlanes || !replica.ControlPlane && !workers {
			continue
		}
		present := &unstructured.Unstructured{}
		present.SetAPIVersion(replica.APIVersion)
		present.SetKind(replica.Kind)
		err := cluster.Get(ctx, client.ObjectKey{Namespace: file.Namespace(), Name: replica.Name}, present)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s %q: %w", replica.Kind, replica.Name, err)
		}
		count, found, err := unstructured.NestedInt64(present.Object, "spec", "replicas")
		if err != nil || !found || int32(count) == replica.Count {
			continue
		}
		kept = append(kept, fmt.Sprintf("%s %q keeps its %d replicas, though %s says %d", replica.Kind, replica.Name, count, file.Name, replica.Count))
		if err := file.SetReplicas(replica, int32(count)); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// applyCluster applies the file's objects in their order. Kinds and webhooks
// may not be served yet, so what may pass is tried again until the context ends.
func applyCluster(ctx context.Context, cluster client.Client, file *clusterfile.File, detail func(string, ...any)) error {
	for _, object := range file.Objects() {
		what := fmt.Sprintf("%s %q", object.GetKind(), object.GetName())
		if object.GetNamespace() == "" && namespaced(cluster, object) {
			object.SetNamespace(file.Namespace())
		}
		var last error
		err := poll(ctx, interval, func(ctx context.Context) (bool, error) {
			last = cluster.Apply(ctx, client.ApplyConfigurationFromUnstructured(object.DeepCopy()), client.ForceOwnership)
			if last == nil {
				return true, nil
			}
			if !passing(last) {
				return false, fmt.Errorf("%s: creating %s: %w", file.Name, what, last)
			}
			detail("%s: %v", what, last)
			return false, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// namespaced says yes where it is not known yet: almost all kinds are, and
// the API server does not mind for those that are not.
func namespaced(cluster client.Client, object *unstructured.Unstructured) bool {
	is, err := cluster.IsObjectNamespaced(object)
	return err != nil || is
}
