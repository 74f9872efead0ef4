package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

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
	// maxHeaderBytes is more than any client sends.
	maxHeaderBytes = 64 << 10
)

// listen binds the address that the server is to be found at.
func listen(ctx context.Context, cfg Config) (net.Listener, error) {
	var certificate *certificate
	if cfg.TLSCertFile != "" {
		var err error
		if certificate, err = loadCertificate(cfg.TLSCertFile, cfg.TLSKeyFile, cfg.Logger); err != nil {
			return nil, err
		}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.ListenAddress)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	if certificate != nil {
		listener = tls.NewListener(listener, certificate.config())
	}
	return listener, nil
}

// clientURL is what the credentials tell clients to use.
func clientURL(cfg Config, listener net.Listener) string {
	switch {
	case cfg.ExternalURL != "":
		return cfg.ExternalURL
	case cfg.TLSCertFile != "":
		return "https://" + reachable(listener.Addr())
	default:
		return "http://" + reachable(listener.Addr())
	}
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

// newHTTPServer has every part of a connection's life end some time.
func newHTTPServer(ctx context.Context, handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
}

// serve answers requests until the context ends, and those that are being
// answered then for a little longer.
func (s *Server) serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := newHTTPServer(ctx, handler)
	// What net/http complains of is what clients did wrong.
	server.ErrorLog = slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug)
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
