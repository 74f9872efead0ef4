package seedprovider

import (
	"context"

	druidcorev1alpha1 "github.com/gardener/etcd-druid/api/core/v1alpha1"
	"k8s.io/utils/ptr"

	extensionscontextwebhook "github.com/gardener/gardener/extensions/pkg/webhook/context"
	"github.com/gardener/gardener/extensions/pkg/webhook/controlplane/genericmutator"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
)

type ensurer struct {
	genericmutator.NoopEnsurer
	Options
}

// EnsureETCD puts the main etcd of a Shoot on the volume that the configuration asks for. The etcd of events, and what the
// configuration leaves out, are as Gardener has them. An etcd that exists keeps its volume: a volume cannot change its class, and
// another capacity would have etcd-druid replace what the StatefulSet was made of.
func (e *ensurer) EnsureETCD(_ context.Context, _ extensionscontextwebhook.GardenContext, etcd, old *druidcorev1alpha1.Etcd) error {
	if etcd.Name != v1beta1constants.ETCDMain {
		return nil
	}
	if old != nil {
		etcd.Spec.StorageClass = old.Spec.StorageClass
		etcd.Spec.StorageCapacity = old.Spec.StorageCapacity
		return nil
	}
	if e.Storage.ClassName != nil {
		etcd.Spec.StorageClass = ptr.To(*e.Storage.ClassName)
	}
	if e.Storage.Capacity != nil {
		etcd.Spec.StorageCapacity = ptr.To(e.Storage.Capacity.DeepCopy())
	}
	return nil
}
