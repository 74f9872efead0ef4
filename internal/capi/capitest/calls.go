package capitest

import (
	"net/http"
	"sync/atomic"
)

// calls counts what controllers ask of the Kubernetes API.
type calls struct{ reads, writes atomic.Int64 }

// KubernetesCalls tells how many requests of either kind the controllers of this World sent so far.
func (w *World) KubernetesCalls() (reads, writes int64) {
	return w.kubernetes.reads.Load(), w.kubernetes.writes.Load()
}

type counting struct {
	next  http.RoundTripper
	calls *calls
}

// RoundTrip implements http.RoundTripper.
func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet {
		c.calls.reads.Add(1)
	} else {
		c.calls.writes.Add(1)
	}
	return c.next.RoundTrip(r)
}
