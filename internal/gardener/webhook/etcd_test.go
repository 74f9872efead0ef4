package webhook_test

import (
	"testing"

	druidcorev1alpha1 "github.com/gardener/etcd-druid/api/core/v1alpha1"
	"github.com/go-logr/logr"
	"k8s.io/utils/ptr"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"github.com/gardener/gardener/pkg/component/etcd/etcd"
)

func gardenersEtcd(g *gardenlet, role string) etcd.Interface {
	return etcd.New(logr.Discard(), g.client, g.namespace, g.secrets, etcd.Values{
		Role: role, Class: etcd.ClassImportant, Replicas: ptr.To(int32(1)), StorageCapacity: "10Gi",
		DefragmentationSchedule: ptr.To("0 1 * * *"), RuntimeKubernetesVersion: kubernetesVersion,
		MaintenanceTimeWindow: gardencorev1beta1.MaintenanceTimeWindow{Begin: "010000+0000", End: "020000+0000"},
	})
}

func TestTheMainEtcdHasTheConfiguredVolume(t *testing.T) {
	g := newPacketGardenlet(t, "etcd")
	for role, want := range map[string][2]string{"main": {"fast", "25Gi"}, "events": {"", "10Gi"}} {
		deploy(t, gardenersEtcd(g, role))
		made := get[druidcorev1alpha1.Etcd](t, g, "etcd-"+role)
		if got := [2]string{ptr.Deref(made.Spec.StorageClass, ""), made.Spec.StorageCapacity.String()}; got != want {
			t.Errorf("etcd-%s has the class and the capacity %q, want %q", role, got, want)
		}
	}
}

// An etcd that was there before the seed's configuration said anything has another volume, which cannot change.
func TestAnEtcdKeepsItsVolume(t *testing.T) {
	g := newGardenlet(t, "old-etcd", "other", nil)
	if err := gardenersEtcd(g, "main").Deploy(t.Context()); err != nil {
		t.Fatal(err)
	}
	namespace := shootNamespace("old-etcd")
	if err := g.client.Update(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	deploy(t, gardenersEtcd(g, "main"))
	made := get[druidcorev1alpha1.Etcd](t, g, "etcd-main")
	if made.Spec.StorageClass != nil || made.Spec.StorageCapacity.String() != "10Gi" {
		t.Errorf("its volume became %v of %s", ptr.Deref(made.Spec.StorageClass, ""), made.Spec.StorageCapacity)
	}
}
