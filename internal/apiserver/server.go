package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/metadata"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Server is a Packet API server.
type Server struct {
	cfg   Config
	store *store.Store
	api   *API
	// clock is what the control routes turn, nil without them.
	clock    *turnableClock
	listener net.Listener
	// metadataListener is nil unless it was asked for.
	metadataListener net.Listener
	credentials      packet.Credentials
	edge             edge
	handler          http.Handler
	metadata         http.Handler

	// alone is how to get the records for oneself; see exclusively.
	alone chan chan struct{}

	mu sync.Mutex
	// waiting is what has to happen before the server is ready.
	waiting map[string]struct{}
	closed  sync.Once
}

// New opens the store, makes the first user, project and token, binds the
// listener and writes the credentials. Run does the rest. A Server that was
// made is to be closed.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("configuring the API server: %w", err)
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	// Binding first tells of a second server before it touches the store.
	listener, err := listen(ctx, cfg)
	if err != nil {
		return nil, err
	}
	records, err := store.Open(ctx, store.Config{DataDir: cfg.DataDir, Endpoints: cfg.EtcdEndpoints, TLS: cfg.EtcdTLS, Logger: cfg.Logger})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store: %w", err), listener.Close())
	}
	s := &Server{
		store:    records,
		listener: listener,
		waiting:  map[string]struct{}{waitForMachines: {}},
		alone:    make(chan chan struct{}),
	}
	if cfg.MetadataListenAddress != "" {
		if s.metadataListener, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.MetadataListenAddress); err != nil {
			return nil, errors.Join(fmt.Errorf("listening for the metadata service: %w", err), s.Close())
		}
	}
	if cfg.Control {
		s.clock = newTurnableClock(cfg.Clock)
		cfg.Clock = s.clock
	}
	s.cfg = cfg
	s.api = &API{
		store:     records,
		catalogue: catalogue.New(),
		capacity:  capacityByID(cfg.Capacity),
		allocator: addresses.NewAllocator(),
		clock:     cfg.Clock,
		profile:   cfg.Profile,
		metrics:   newMetrics(records),
		logger:    cfg.Logger,
	}
	s.handler = s.newHandler()
	s.metadata = s.edge.gate.behind(metadata.Handler(metadata.Config{
		Store: records, Catalogue: s.api.catalogue, Clock: cfg.Clock, Logger: cfg.Logger,
	}))
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare sees to it that the records are whole, and that there is somebody
// who can use the server.
func (s *Server) prepare(ctx context.Context) error {
	if err := s.undoEarlier(ctx); err != nil {
		return err
	}
	credentials, err := bootstrap(ctx, s.cfg, s.store)
	if err != nil {
		return err
	}
	credentials.APIURL = clientURL(s.cfg, s.listener) + prefix
	if err := writeCredentials(s.cfg.DataDir, credentials); err != nil {
		return err
	}
	s.credentials = credentials
	if len(s.cfg.HardwareReservations) > 0 {
		if _, err := s.ReserveHardware(ctx, s.cfg.HardwareReservations...); err != nil {
			return err
		}
	}
	return s.seedFile(ctx)
}

// newHandler serves the API, and the control routes beside it.
func (s *Server) newHandler() http.Handler {
	s.edge = edge{
		maxBody: defaultMaxBody,
		timeout: requestTimeout,
		shared:  len(s.cfg.EtcdEndpoints) > 0,
		baseURL: s.cfg.ExternalURL,
		limiter: newLimiter(s.cfg.RateLimit, s.cfg.Clock, s.api.metrics.rateLimited.Inc),
		tracer:  newTracer(s.cfg.Tracing),
	}
	if s.cfg.AuditLog != nil {
		s.edge.audit = &auditLog{
			clock: s.cfg.Clock, logger: s.cfg.Logger, failed: s.api.metrics.auditFailures.Inc, out: s.cfg.AuditLog,
		}
	}
	if s.cfg.Control {
		s.edge.faults, s.edge.history, s.edge.gate = &faults{}, newHistory(s.cfg.Clock), &gate{}
	}
	api, control := newRouter(s.api, s.edge), s.controlHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, controlPrefix) {
			control.ServeHTTP(w, req)
			return
		}
		api.ServeHTTP(w, req)
	})
}

// Credentials are what to use the server with. They hold a secret.
func (s *Server) Credentials() packet.Credentials { return s.credentials }

// MetadataAddress is where the metadata service listens, empty for nowhere.
func (s *Server) MetadataAddress() string {
	if s.metadataListener == nil {
		return ""
	}
	return s.metadataListener.Addr().String()
}

// Handler serves the API and the control routes.
func (s *Server) Handler() http.Handler { return s.handler }

// MetadataHandler serves the metadata service. It knows machines by the
// address that they ask from.
func (s *Server) MetadataHandler() http.Handler { return s.metadata }

// Run serves, and drives the machines, until the context ends or something
// breaks. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	run := func(what string, fn func(context.Context) error) {
		work.Go(func() {
			if err := fn(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", what, err))
			}
		})
	}

	s.cfg.Logger.InfoContext(ctx, "The Packet API server listens.", "url", s.credentials.APIURL, "project", s.credentials.ProjectID,
		"dataDir", s.cfg.DataDir, "profile", string(s.cfg.Profile))
	run("serving the API", func(ctx context.Context) error { return s.serve(ctx, s.listener, s.handler) })
	if s.metadataListener != nil {
		s.cfg.Logger.InfoContext(ctx, "The metadata service listens.", "address", s.metadataListener.Addr().String())
		run("serving metadata", func(ctx context.Context) error { return s.serve(ctx, s.metadataListener, s.metadata) })
	}
	run("trading on the spot market", func(ctx context.Context) error { s.api.trade(ctx); return nil })
	run("driving the machines", s.drive)
	if network, ok := s.cfg.Driver.(machines.Network); ok {
		endpoints, err := s.yardEndpoints()
		if err != nil {
			cancel(err)
		}
		for _, endpoint := range endpoints {
			s.waitFor(endpoint.name)
			run(endpoint.name, func(ctx context.Context) error { s.serveYard(ctx, network, endpoint); return nil })
		}
	}

	<-ctx.Done()
	work.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	s.cfg.Logger.Info("The Packet API server ended.")
	return nil
}

// Close closes the store. Machines keep running.
func (s *Server) Close() error {
	s.closed.Do(func() {
		_ = s.listener.Close()
		if s.metadataListener != nil {
			_ = s.metadataListener.Close()
		}
		s.store.Close()
	})
	return nil
}

// waitForMachines is over when the machines of an earlier run are known.
const waitForMachines = "machines"

func (s *Server) waitFor(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[what] = struct{}{}
}

func (s *Server) arrived(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, what)
}

// waitingFor is what the server is not ready for lack of, empty if it is.
func (s *Server) waitingFor() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for what := range s.waiting {
		return what
	}
	return ""
}
