package packetserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/machines/none"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Profile says how long things take.
type Profile string

// The profiles: at once, so that one can watch, and as long as real servers
// took.
const (
	Instant   Profile = Profile(lifecycle.Instant)
	Fast      Profile = Profile(lifecycle.Fast)
	Realistic Profile = Profile(lifecycle.Realistic)
)

// options are what New was told.
type options struct {
	config apiserver.Config
	seed   string
}

// Option changes how a server is.
type Option func(*options)

// WithAddress has the server listen on a host:port. The default is
// 127.0.0.1:0, which picks a port.
func WithAddress(address string) Option {
	return func(o *options) { o.config.ListenAddress = address }
}

// WithDataDir keeps the records in a folder, where another server finds them
// later. The default is a folder that Close removes.
func WithDataDir(dir string) Option {
	return func(o *options) { o.config.DataDir = dir }
}

// WithToken fixes the token that may do all. It is made up by default.
func WithToken(token string) Option {
	return func(o *options) { o.config.Token = token }
}

// WithProjectID fixes the ID, a UUID in lower case, of the project that is
// there from the start. It is made up by default.
func WithProjectID(id string) Option {
	return func(o *options) { o.config.ProjectID = id }
}

// WithProfile says how long things take. The default is Instant.
func WithProfile(profile Profile) Option {
	return func(o *options) { o.config.Profile = lifecycle.Profile(profile) }
}

// WithRateLimit answers 429 to a token that sends more requests in a minute.
func WithRateLimit(perMinute int) Option {
	return func(o *options) { o.config.RateLimit.Requests = perMinute }
}

// WithSeed makes what a YAML document says; see docs/api-server/testing.md
// for its form.
func WithSeed(document string) Option {
	return func(o *options) { o.seed = document }
}

// WithLogger has the server log. By default it does not.
func WithLogger(logger *slog.Logger) Option {
	return func(o *options) { o.config.Logger = logger }
}

// Server is a Packet API server that serves until Close.
type Server struct {
	*Control

	server      *apiserver.Server
	credentials packet.Credentials
	removed     string
	cancel      context.CancelFunc
	ended       chan struct{}
	err         error
}

// New starts a server. The context is that of its start alone. An error says
// which option was wrong, or what of the host is in the way.
func New(ctx context.Context, change ...Option) (*Server, error) {
	o := options{config: apiserver.Config{
		ListenAddress: "127.0.0.1:0",
		Driver:        none.New(),
		Control:       true,
		Logger:        slog.New(slog.DiscardHandler),
	}}
	for _, fn := range change {
		fn(&o)
	}
	s := &Server{ended: make(chan struct{})}
	if o.config.DataDir == "" {
		dir, err := os.MkdirTemp("", "packetserver-")
		if err != nil {
			return nil, fmt.Errorf("making a folder for the records: %w", err)
		}
		o.config.DataDir, s.removed = dir, dir
	}
	var err error
	if s.server, err = apiserver.New(ctx, o.config); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	s.credentials = s.server.Credentials()
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	go func() {
		defer close(s.ended)
		s.err = s.server.Run(running)
	}()
	s.Control = NewControl(strings.TrimSuffix(s.credentials.APIURL, "/metal/v1"), s.credentials.APIToken)
	if o.seed != "" {
		if _, err := s.Seed(ctx, o.seed); err != nil {
			return nil, errors.Join(fmt.Errorf("seeding: %w", err), s.Close())
		}
	}
	return s, nil
}

// Start starts a server for a test, and closes it when the test ends. It ends
// the test if that fails.
func Start(t testing.TB, change ...Option) *Server {
	t.Helper()
	s, err := New(t.Context(), change...)
	if err != nil {
		t.Fatalf("starting a Packet API server: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the Packet API server: %v", err)
		}
	})
	return s
}

// URL is the base of all paths of the API, as http://127.0.0.1:40123/metal/v1.
// Clients that append to it without a slash want one at its end.
func (s *Server) URL() string { return s.credentials.APIURL }

// Token may do all. It is what clients send as X-Auth-Token.
func (s *Server) Token() string { return s.credentials.APIToken }

// ProjectID is that of the project that is there from the start.
func (s *Server) ProjectID() string { return s.credentials.ProjectID }

// Client is a client of the server that may do all, sends as many requests as
// it is told to, and does not try again what failed.
func (s *Server) Client() (*packet.Client, error) {
	return packet.NewClient(packet.Config{BaseURL: s.URL(), Token: s.Token(), QPS: -1, Retries: -1})
}

// Close ends the server, and returns what made it end before that, if
// anything did. It may be called again.
func (s *Server) Close() error {
	s.cancel()
	<-s.ended
	return errors.Join(s.err, s.server.Close(), s.remove())
}

func (s *Server) remove() error {
	if s.removed == "" {
		return nil
	}
	return os.RemoveAll(s.removed)
}
