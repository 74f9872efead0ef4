package encryption

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
)

// documentation is where the manager's users find out what to do.
const documentation = "docs/encryption.md"

// checkTimeout limits one look at the metrics.
const checkTimeout = 30 * time.Second

// Watch looks at the API server's metrics when the manager starts, and then once per interval. It is a Runnable of the
// manager's, and every replica has one.
type Watch struct {
	config   *rest.Config
	interval time.Duration
	gauge    *prometheus.GaugeVec

	mutex    sync.Mutex
	findings map[string]Finding
}

// NewWatch returns a Watch of the API server that a configuration leads to. Its findings are the metric
// packet_bootstrap_encryption_at_rest{resource,state}, which is 1 for the state that is the case.
func NewWatch(config *rest.Config, interval time.Duration, registerer prometheus.Registerer) (*Watch, error) {
	if config == nil || interval <= 0 {
		return nil, fmt.Errorf("watching for encryption at rest needs an API server and a positive interval, not %s", interval)
	}
	w := &Watch{config: config, interval: interval, findings: map[string]Finding{}, gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "packet_bootstrap_encryption_at_rest",
		Help: "Whether the bootstrap cluster's API server encrypts a resource at rest: 1 for the state that is the case.",
	}, []string{"resource", "state"})}
	if registerer != nil {
		var registered prometheus.AlreadyRegisteredError
		switch err := registerer.Register(w.gauge); {
		case errors.As(err, &registered):
			gauge, ok := registered.ExistingCollector.(*prometheus.GaugeVec)
			if !ok {
				return nil, fmt.Errorf("registering the metric of encryption at rest: there is a %T of that name", registered.ExistingCollector)
			}
			w.gauge = gauge
		case err != nil:
			return nil, fmt.Errorf("registering the metric of encryption at rest: %w", err)
		}
	}
	return w, nil
}

// Start implements manager.Runnable.
func (w *Watch) Start(ctx context.Context) error {
	log := ctrl.LoggerFrom(ctx).WithName("encryption-at-rest")
	for {
		for resource, finding := range w.Check(ctx) {
			switch finding.State {
			case NotEncrypted:
				log.Info("WARNING: the bootstrap cluster does not encrypt a resource at rest: keys and tokens of clusters lie readable in its etcd",
					"resource", resource, "reason", finding.Reason, "see", documentation)
			case Unknown:
				log.Info("It is unknown whether the bootstrap cluster encrypts a resource at rest",
					"resource", resource, "reason", finding.Reason, "see", documentation)
			case Encrypted:
				log.Info("The bootstrap cluster encrypts a resource at rest", "resource", resource, "reason", finding.Reason)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(w.interval):
		}
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: each replica reports what its API server says.
func (w *Watch) NeedLeaderElection() bool { return false }

// Check looks now, and returns what is new since the last look.
func (w *Watch) Check(ctx context.Context) map[string]Finding {
	found, err := w.look(ctx)
	if err != nil {
		found = map[string]Finding{}
		for _, resource := range Resources() {
			found[resource] = Finding{Unknown, err.Error()}
		}
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	news := map[string]Finding{}
	for resource, finding := range found {
		if w.findings[resource].State != finding.State {
			news[resource] = finding
		}
		w.findings[resource] = finding
		for _, state := range []State{Encrypted, NotEncrypted, Unknown} {
			value := 0.0
			if state == finding.State {
				value = 1
			}
			w.gauge.WithLabelValues(resource, string(state)).Set(value)
		}
	}
	return news
}

// Warning is what to tell a user whose keys are about to be stored: empty unless it is known that a resource is not encrypted.
func (w *Watch) Warning() string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var plain []string
	for _, resource := range Resources() {
		if w.findings[resource].State == NotEncrypted {
			plain = append(plain, resource)
		}
	}
	if len(plain) == 0 {
		return ""
	}
	return fmt.Sprintf("the bootstrap cluster does not encrypt %s at rest, so keys and tokens of this cluster lie readable in its etcd: see %s",
		strings.Join(plain, " and "), documentation)
}

func (w *Watch) look(ctx context.Context) (map[string]Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	transport, err := rest.HTTPClientFor(w.config)
	if err != nil {
		return nil, fmt.Errorf("making a client for the API server's metrics: %w", err)
	}
	address, _, err := rest.DefaultServerUrlFor(w.config)
	if err != nil {
		return nil, fmt.Errorf("finding the API server's metrics: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.JoinPath("/metrics").String(), nil)
	if err != nil {
		return nil, fmt.Errorf("asking for the API server's metrics: %w", err)
	}
	response, err := transport.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking for the API server's metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // It was only read.
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the API server's metrics cannot be read: %s", response.Status)
	}
	return read(response.Body)
}
