package bench_test

import (
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/capi/capitest"
)

var clusters = flag.Int("clusters", 100, "number of clusters, of two machines each")

// BenchmarkClusters prints what clusters of one control plane machine and one worker cost, whose endpoints are elastic IPs
// that nobody listens at, and how fast the infrastructure provider makes them. How fast the whole manager does is told by the
// benchmark of the same name in the subpackage clusters.
func BenchmarkClusters(b *testing.B) {
	for range b.N {
		w := newWorld(b)
		w.Limits = limits()
		w.Run()
		nodes := startKubelets(b, w)
		before, began, busy := count(w), time.Now(), env.ProcessorTime(b)
		var wait sync.WaitGroup
		limit := make(chan struct{}, 20)
		for n := range *clusters {
			limit <- struct{}{}
			wait.Go(func() {
				defer func() { <-limit }()
				cluster, _ := w.ReadyCluster(w.Namespace, fmt.Sprintf("c%03d", n))
				w.Machine(cluster, capitest.MachineOptions{Name: cluster.Name + "-master", ControlPlane: true, UserData: capitest.UserData})
				w.Machine(cluster, capitest.MachineOptions{Name: cluster.Name + "-worker", UserData: capitest.UserData})
			})
		}
		wait.Wait()
		nodes.wait(b, 2**clusters)
		took, cost := time.Since(began), count(w).since(before)
		busy = env.ProcessorTime(b) - busy
		b.ReportMetric(float64(*clusters)/took.Minutes(), "clusters/min")
		b.ReportMetric(busy.Seconds()/float64(*clusters), "cpu-s/cluster")
		b.ReportMetric(float64(cost.packet)/float64(*clusters), "packet-calls/cluster")
		b.ReportMetric(float64(cost.writes)/float64(*clusters), "kubernetes-writes/cluster")
		if devices := len(w.Devices()); devices != 2**clusters {
			b.Errorf("%d devices for %d clusters", devices, *clusters)
		}
		if addresses := len(w.ElasticIPs()); addresses != *clusters {
			b.Errorf("%d elastic IPs for %d clusters", addresses, *clusters)
		}
	}
}
