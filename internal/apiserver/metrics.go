package apiserver

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// metrics are the server's own; each server has its own registry.
type metrics struct {
	registry      *prometheus.Registry
	requests      *prometheus.CounterVec
	duration      *prometheus.HistogramVec
	panics        prometheus.Counter
	rateLimited   prometheus.Counter
	auditFailures prometheus.Counter
}

// operationMetrics are the metrics of one operation, looked up when it is
// first asked for, since that costs more than counting.
type operationMetrics struct {
	known atomic.Pointer[knownMetrics]
}

type knownMetrics struct {
	ok       prometheus.Counter
	duration prometheus.Observer
}

func newMetrics(records *store.Store) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "packet_api_server_requests_total",
			Help: "Requests answered, by operation of the API and HTTP status; code 0 is a connection reset by a fault rule.",
		}, []string{"operation", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "packet_api_server_request_duration_seconds",
			Help:    "Time from a request's headers to the end of its answer, by operation of the API.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 3, 10),
		}, []string{"operation"}),
		panics:        counter("packet_api_server_panics_total", "Requests whose handler panicked, which were answered with 500."),
		rateLimited:   counter("packet_api_server_rate_limited_total", "Requests that were refused with 429."),
		auditFailures: counter("packet_api_server_audit_failures_total", "Requests that are missing in the audit log because it could not be written."),
	}
	m.registry.MustRegister(m.requests, m.duration, m.panics, m.rateLimited, m.auditFailures, deviceCollector{records},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) observe(op *operation, status int, took time.Duration) {
	known := op.measured.known.Load()
	if known == nil {
		known = &knownMetrics{
			ok:       m.requests.WithLabelValues(op.Operation, strconv.Itoa(http.StatusOK)),
			duration: m.duration.WithLabelValues(op.Operation),
		}
		op.measured.known.Store(known)
	}
	if status == http.StatusOK {
		known.ok.Inc()
	} else {
		m.requests.WithLabelValues(op.Operation, strconv.Itoa(status)).Inc()
	}
	known.duration.Observe(took.Seconds())
}

// deviceCollector counts the devices when somebody asks.
type deviceCollector struct {
	store *store.Store
}

var devicesDesc = prometheus.NewDesc("packet_api_server_devices", "Devices by state.", []string{"state"}, nil)

func (c deviceCollector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- devicesDesc
}

func (c deviceCollector) Collect(values chan<- prometheus.Metric) {
	states := map[string]int{}
	c.store.Peek(func(s *store.Snapshot) {
		for _, row := range s.Devices.All() {
			states[string(row.Value.State)]++
		}
	})
	for state, count := range states {
		values <- prometheus.MustNewConstMetric(devicesDesc, prometheus.GaugeValue, float64(count), state)
	}
}
