package worker

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/utils/ptr"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
)

// TestHibernation: neither the Shoot's API, which is down, nor the Packet API is needed to hibernate.
func TestHibernation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testPool())
	w.infrastructure("packet", "10.64.0.0/25")
	w.reconcile()
	w.cluster.Shoot.Spec.Hibernation = &gardencorev1beta1.Hibernation{Enabled: ptr.To(true)}
	w.syncCluster()
	w.packetRequests()
	w.reconcile()
	if got := w.packetRequests(); got != 0 {
		t.Errorf("%d requests to the Packet API", got)
	}
	for _, deployment := range w.deployments() {
		if deployment.Spec.Replicas != 0 {
			t.Errorf("%s has %d replicas", deployment.Name, deployment.Spec.Replicas)
		}
	}
	mcm := &appsv1.Deployment{ObjectMeta: w.named("machine-controller-manager")}
	w.get(mcm)
	if *mcm.Spec.Replicas != 0 {
		t.Error("machine-controller-manager runs still")
	}

	w.cluster.Shoot.Spec.Hibernation = nil
	w.cluster.Shoot.Status.IsHibernated = true
	w.syncCluster()
	w.reconcile()
	if deployments := w.deployments(); deployments[0].Spec.Replicas != 1 {
		t.Errorf("%d replicas after waking up", deployments[0].Spec.Replicas)
	}
}
