package bench_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
)

// BenchmarkSteadyState prints what active machines cost in ten minutes in which nothing happens, and how much memory the
// process takes, which holds the controllers and the Packet API server.
func BenchmarkSteadyState(b *testing.B) {
	for range b.N {
		w := newWorld(b)
		stop := w.Run()
		cluster, _ := w.ReadyCluster(w.Namespace, "fleet")
		nodes := startKubelets(b, w)
		machines(b, w, cluster, *fleet)
		nodes.wait(b, *fleet)
		stop()

		// What is measured begins with a manager that has seen everything, more than once.
		w.Intervals, w.Limits = compressed(production()), limits()
		w.Run()
		<-time.After(2 * w.Intervals.Resync)
		before := count(w)
		<-time.After(10 * time.Minute / time.Duration(*compression))
		cost := count(w).since(before)
		b.ReportMetric(float64(cost.packet), "packet-calls/10min")
		b.ReportMetric(float64(cost.writes), "kubernetes-writes/10min")
		b.ReportMetric(float64(cost.reads), "kubernetes-reads/10min")
		var memory runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&memory)
		b.ReportMetric(float64(memory.HeapInuse)/(1<<20), "heap-MB")
		if pages := (*fleet + packet.MaxPerPage - 1) / packet.MaxPerPage; cost.writes > 0 || cost.packet > 10*pages {
			b.Errorf("in ten minutes in which nothing happened, %d machines cost %+v", *fleet, cost)
		}
	}
}
