package infrastructure_test

import (
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
)

// BenchmarkReadyShoot reconciles a Shoot that has everything, and prints what one reconciliation asks of the Packet API.
func BenchmarkReadyShoot(b *testing.B) {
	s := newShoot(b, apiservertest.Start(b, apiservertest.Options{}), everything)
	s.mustReconcile(b)
	calls := 0
	for b.Loop() {
		if err := s.reconcile(b); err != nil {
			b.Fatal(err)
		}
		calls += len(s.network.Requests())
	}
	b.ReportMetric(float64(calls)/float64(b.N), "calls/op")
}
