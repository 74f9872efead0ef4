package bench_test

import (
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/capi/capitest"
)

// BenchmarkCreation prints what making machines costs and how fast it goes, from the moment when the manager starts with all
// objects there until the last machine is a node: within the limits that the manager's flags default to, and without any.
func BenchmarkCreation(b *testing.B) {
	b.Run("limits=defaults", func(b *testing.B) { benchmarkCreation(b, limits()) })
	b.Run("limits=none", func(b *testing.B) { benchmarkCreation(b, capitest.Limits{}) })
}

func benchmarkCreation(b *testing.B, limits capitest.Limits) {
	for range b.N {
		w := newWorld(b)
		stop := w.Run()
		cluster, _ := w.ReadyCluster(w.Namespace, "fleet")
		stop()
		machines(b, w, cluster, *fleet)
		nodes := startKubelets(b, w)
		w.Limits = limits
		before, began, busy := count(w), time.Now(), env.ProcessorTime(b)
		w.Run()
		nodes.wait(b, *fleet)
		took, cost := time.Since(began), count(w).since(before)
		busy = env.ProcessorTime(b) - busy
		per := func(n int64) float64 { return float64(n) / float64(*fleet) }
		b.ReportMetric(per(int64(cost.creations)), "creates/machine")
		b.ReportMetric(float64(cost.listings), "device-pages")
		b.ReportMetric(float64(cost.events), "event-pages")
		b.ReportMetric(per(int64(cost.packet)), "packet-calls/machine")
		b.ReportMetric(per(cost.writes), "kubernetes-writes/machine")
		b.ReportMetric(per(cost.reads), "kubernetes-reads/machine")
		b.ReportMetric(float64(*fleet)/took.Seconds(), "machines/s")
		b.ReportMetric(busy.Seconds()/float64(*fleet), "cpu-s/machine")
		if devices := len(w.Devices()); devices != *fleet {
			b.Errorf("%d devices for %d machines", devices, *fleet)
		}
	}
}
