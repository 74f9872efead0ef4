package capitest

import (
	"net/http"
	"sync/atomic"

	"k8s.io/client-go/rest"
)

// Calls counts what is asked of a Kubernetes API.
type Calls struct{ reads, writes atomic.Int64 }

// Of counts what is asked by way of a configuration from now on.
func (c *Calls) Of(config *rest.Config) {
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &counting{next: next, calls: c} })
}

// Count tells how many requests of either kind there were so far.
func (c *Calls) Count() (reads, writes int64) { return c.reads.Load(), c.writes.Load() }

// KubernetesCalls tells how many requests of either kind the controllers of this World sent so far.
func (w *World) KubernetesCalls() (reads, writes int64) { return w.kubernetes.Count() }

type counting struct {
	next  http.RoundTripper
	calls *Calls
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
