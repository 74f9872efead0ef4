// Package apiservertest runs real API servers for tests.
package apiservertest

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/none"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Options say how a server differs from the usual one, which has no
// machines, loses no time, and keeps its records in a folder of the test.
type Options struct {
	DataDir string
	Driver  machines.Driver
	Profile lifecycle.Profile
	Clock   lifecycle.Clock
	Logger  *slog.Logger
	// Token and ProjectID are made up if empty.
	Token, ProjectID string
	EtcdEndpoints    []string
	// Configure changes what else there is to configure; it may be nil.
	Configure func(*apiserver.Config)
}

// Server is a server that serves on a port of this host.
type Server struct {
	*apiserver.Server
	// URL is the base of all paths of the API, http://127.0.0.1:port/metal/v1.
	URL string
	// Token is good for everything.
	Token     string
	ProjectID string

	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// Start runs a server until the test ends, or Stop.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	if options.DataDir == "" {
		options.DataDir = t.TempDir()
	}
	if options.Driver == nil {
		options.Driver = none.New()
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	cfg := apiserver.Config{
		ListenAddress: "127.0.0.1:0",
		DataDir:       options.DataDir,
		EtcdEndpoints: options.EtcdEndpoints,
		Driver:        options.Driver,
		Profile:       options.Profile,
		Token:         options.Token,
		ProjectID:     options.ProjectID,
		Clock:         options.Clock,
		Logger:        options.Logger,
	}
	if options.Configure != nil {
		options.Configure(&cfg)
	}
	server, err := apiserver.New(t.Context(), cfg)
	if err != nil {
		t.Fatalf("starting an API server: %v", err)
	}
	credentials := server.Credentials()
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		Server:    server,
		URL:       credentials.APIURL,
		Token:     credentials.APIToken,
		ProjectID: credentials.ProjectID,
		cancel:    cancel,
		done:      make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		s.err = server.Run(ctx)
	}()
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// Stop ends the server in an orderly way. It may be called again.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.cancel()
	// Idle connections of the tests' clients would hold up the end.
	http.DefaultClient.CloseIdleConnections()
	<-s.done
	if s.err != nil {
		t.Errorf("running the API server: %v", s.err)
		s.err = nil
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing the API server: %v", err)
	}
}

// Client is a client of the server that may ask as often as it likes.
func (s *Server) Client(t testing.TB) *packet.Client {
	t.Helper()
	client, err := packet.NewClient(packet.Config{BaseURL: s.URL, Token: s.Token, QPS: -1, Retries: -1})
	if err != nil {
		t.Fatalf("making a client: %v", err)
	}
	return client
}
