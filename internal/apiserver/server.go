package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/metadata"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/pkg/packet"
)

// DefaultListenAddress is where the server listens if nobody says otherwise.
const DefaultListenAddress = "127.0.0.1:8080"

const (
	// shutdownTimeout is how long requests may take that are being answered
	// when the server ends.
	shutdownTimeout   = 5 * time.Second
	readHeaderTimeout = 10 * time.Second
	// readTimeout bounds a whole request, so that one whose body never ends
	// does not stay for ever. It leaves requestTimeout to the handler, which
	// net/http interrupts when it is over.
	readTimeout = requestTimeout + 30*time.Second
	// writeTimeout counts from the request's header to the last byte of the
	// answer, which is large for a long list.
	writeTimeout = readTimeout + time.Minute
	idleTimeout  = 2 * time.Minute
)

// Config says what kind of server to run. DataDir and Driver are required.
type Config struct {
	// ListenAddress is host:port; port 0 picks one.
	ListenAddress string
	// DataDir holds the credentials and, unless EtcdEndpoints are given, the
	// records.
	DataDir       string
	EtcdEndpoints []string
	// Driver makes the machines. The caller closes it after Close.
	Driver machines.Driver
	// Profile is how fast devices move; empty means instant.
	Profile lifecycle.Profile
	// Token and ProjectID fix the first token and project; empty makes them up.
	Token, ProjectID string
	// Clock is the system's if nil.
	Clock lifecycle.Clock
	// Logger is the default one if nil.
	Logger *slog.Logger
}

// validate finds all that is wrong, and fills in what was left out.
func (c *Config) validate() error {
	var problems []error
	if c.DataDir == "" {
		problems = append(problems, errors.New("data directory is empty"))
	}
	if c.Driver == nil {
		problems = append(problems, errors.New("machine driver is missing"))
	}
	if c.ListenAddress == "" {
		c.ListenAddress = DefaultListenAddress
	}
	if _, _, err := net.SplitHostPort(c.ListenAddress); err != nil {
		problems = append(problems, fmt.Errorf("listen address %q is not host:port: %w", c.ListenAddress, err))
	}
	if c.Profile == "" {
		c.Profile = lifecycle.Instant
	}
	if _, err := lifecycle.ParseProfile(string(c.Profile)); err != nil {
		problems = append(problems, err)
	}
	if c.ProjectID != "" {
		if id, err := uuid.Parse(c.ProjectID); err != nil || id.String() != c.ProjectID {
			problems = append(problems, fmt.Errorf("project ID %q is not a UUID in lower case", c.ProjectID))
		}
	}
	if strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		problems = append(problems, errors.New("the API token has a character that an HTTP header cannot carry; allowed are ! to ~"))
	}
	if c.Clock == nil {
		c.Clock = lifecycle.SystemClock{}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return errors.Join(problems...)
}

// Server is a Packet API server.
type Server struct {
	cfg         Config
	store       *store.Store
	api         *API
	worker      *lifecycle.Worker
	listener    net.Listener
	credentials packet.Credentials
	handler     http.Handler
	metadata    http.Handler

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
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.ListenAddress)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	records, err := store.Open(ctx, store.Config{DataDir: cfg.DataDir, Endpoints: cfg.EtcdEndpoints, Logger: cfg.Logger})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store: %w", err), listener.Close())
	}
	credentials, err := bootstrap(ctx, cfg, records)
	if err == nil {
		credentials.APIURL = "http://" + reachable(listener.Addr()) + prefix
		err = writeCredentials(cfg.DataDir, credentials)
	}
	if err != nil {
		records.Close()
		return nil, errors.Join(err, listener.Close())
	}

	s := &Server{
		cfg:         cfg,
		store:       records,
		listener:    listener,
		credentials: credentials,
		waiting:     map[string]struct{}{waitForMachines: {}},
		api: &API{
			store:     records,
			catalogue: catalogue.New(),
			allocator: addresses.NewAllocator(),
			clock:     cfg.Clock,
			metrics:   newMetrics(records),
			logger:    cfg.Logger,
		},
	}
	s.worker = lifecycle.New(lifecycle.Config{
		Store:     records,
		Driver:    cfg.Driver,
		Catalogue: s.api.catalogue,
		Clock:     cfg.Clock,
		Profile:   cfg.Profile,
		Logger:    cfg.Logger,
	})
	mux := http.NewServeMux()
	mux.Handle(controlPrefix, s.controlHandler())
	mux.Handle("/", newRouter(s.api))
	s.handler = mux
	s.metadata = metadata.Handler(metadata.Config{
		Store: records, Catalogue: s.api.catalogue, Clock: cfg.Clock, Logger: cfg.Logger,
	})
	return s, nil
}

// reachable is an address that a client on this host can use.
func reachable(address net.Addr) string {
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return address.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// Credentials are what to use the server with. They hold a secret.
func (s *Server) Credentials() packet.Credentials { return s.credentials }

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
	run("serving the API", func(ctx context.Context) error { return serve(ctx, s.listener, s.handler) })
	run("driving the machines", func(ctx context.Context) error {
		return s.worker.Run(ctx, func() { s.arrived(waitForMachines) })
	})
	if network, ok := s.cfg.Driver.(machines.Network); ok {
		for _, endpoint := range s.yardEndpoints() {
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
		s.store.Close()
	})
	return nil
}

// newHTTPServer has every part of a connection's life end some time.
func newHTTPServer(ctx context.Context, handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
}

// serve answers requests until the context ends, and those that are being
// answered then for a little longer.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := newHTTPServer(ctx, handler)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return errors.Join(err, server.Close())
	}
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
