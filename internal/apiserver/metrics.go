package apiserver

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// metrics are the server's own; each server has its own registry.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(records *store.Store) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "packet_api_server_requests_total",
			Help: "Requests answered, by operation of the API and HTTP status.",
		}, []string{"operation", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "packet_api_server_request_duration_seconds",
			Help:    "Time from a request's headers to the end of its answer, by operation of the API.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 3, 10),
		}, []string{"operation"}),
	}
	m.registry.MustRegister(m.requests, m.duration, deviceCollector{records},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) observe(operation string, status int, took time.Duration) {
	m.requests.WithLabelValues(operation, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(operation).Observe(took.Seconds())
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
