package packet

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Codes of the requests metric that are not an HTTP status.
const (
	codeTransportError = "transport_error"
	codeCancelled      = "cancelled"
)

// metrics count what a client does. One sample is one HTTP request: a list of
// three pages counts three, a request that is tried again counts twice.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	retries  *prometheus.CounterVec
	throttle prometheus.Histogram
}

// newMetrics registers the metrics, or takes those that another client has
// registered there before. A nil registerer gives metrics that nobody reads.
func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "packet_api_requests_total",
			Help: "Requests to the Packet API, by operation and by HTTP status, transport_error or cancelled.",
		}, []string{"operation", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "packet_api_request_duration_seconds",
			Help:    "Time from sending a request to the Packet API until its answer is read, by operation.",
			Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"operation"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "packet_api_retries_total",
			Help: "Requests to the Packet API that were sent again after a failure, by operation.",
		}, []string{"operation"}),
		throttle: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "packet_api_throttle_seconds",
			Help:    "Time that requests to the Packet API were held back by the client's own rate limit.",
			Buckets: []float64{.01, .05, .1, .5, 1, 5, 10, 30, 60},
		}),
	}
	if registerer == nil {
		return m, nil
	}
	return m, errors.Join(
		register(registerer, &m.requests),
		register(registerer, &m.duration),
		register(registerer, &m.retries),
		register(registerer, &m.throttle),
	)
}

func register[C prometheus.Collector](registerer prometheus.Registerer, collector *C) error {
	err := registerer.Register(*collector)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		existing, ok := already.ExistingCollector.(C)
		if !ok {
			return fmt.Errorf("registering metrics: another collector of type %T has the name", already.ExistingCollector)
		}
		*collector = existing
		return nil
	}
	if err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

func (m *metrics) observe(operation, code string, took time.Duration) {
	m.requests.WithLabelValues(operation, code).Inc()
	m.duration.WithLabelValues(operation).Observe(took.Seconds())
}

func statusLabel(status int) string { return strconv.Itoa(status) }
