package worker

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// BenchmarkReconcile500Machines reconciles a Worker with 500 machines in ten MachineDeployments, none of which has anything to
// do. In between one machine takes the place of another, and what the reconciliation after that asks the Packet API is counted
// apart.
func BenchmarkReconcile500Machines(b *testing.B) {
	pool := testPool()
	pool.Minimum, pool.Maximum = 500, 500
	pool.MaxSurge = intstr.FromString("10%")
	for n := range 10 {
		pool.Zones = append(pool.Zones, fmt.Sprintf("ny%d", n))
	}
	w := newWorld(b, pool)
	w.mcm.device = w.device
	if _, err := w.device(b.Context(), "first"); err != nil {
		b.Fatal(err)
	}
	infrastructure := w.infrastructure("packet", w.privateBlocks()...)
	w.reconcile()
	if got := len(list(w, &machinev1alpha1.MachineList{}).Items); got != 500 {
		b.Fatalf("%d machines", got)
	}
	w.get(infrastructure)
	if got, want := len(infrastructure.Status.Networking.Nodes), len(w.privateBlocks()); got != want {
		b.Errorf("%d blocks are reported of %d", got, want)
	}
	w.packetRequests()
	w.kube.take()

	var idle, busy, kube int
	var seen sync.Map
	for b.Loop() {
		w.reconcile()
		idle += w.packetRequests()
		counts := w.kube.take()
		for _, request := range slices.Sorted(maps.Keys(counts)) {
			if _, known := seen.LoadOrStore(request, true); !known {
				b.Logf("%s: %d", request, counts[request])
			}
		}
		kube += total(counts)

		b.StopTimer()
		machine := list(w, &machinev1alpha1.MachineList{}).Items[0]
		if err := w.client.Delete(b.Context(), &machine); err != nil {
			b.Fatal(err)
		}
		eventually(b, func() error {
			if got := len(list(w, &machinev1alpha1.MachineList{}).Items); got != 500 {
				return fmt.Errorf("%d machines", got)
			}
			return nil
		})
		w.reconcile()
		busy += w.packetRequests()
		// The controller's cache may have been behind.
		w.reconcile()
		w.packetRequests()
		w.kube.take()
		b.StartTimer()
	}
	b.ReportMetric(float64(idle)/float64(b.N), "packet-requests/op")
	b.ReportMetric(float64(busy)/float64(b.N), "packet-requests-after-a-change/op")
	b.ReportMetric(float64(kube)/float64(b.N), "kube-requests/op")
	if idle != 0 {
		b.Errorf("%d requests to the Packet API although nothing changed", idle)
	}
}
