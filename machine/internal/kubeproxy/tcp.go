package kubeproxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// dialTimeout is how long a backend may take to accept a connection before
	// the next one is tried.
	dialTimeout = 2 * time.Second
	// dialAttempts is how many backends a connection tries.
	dialAttempts = 4
)

// network returns the listening network of an address's family, so that a node
// port of one family leaves the other's alone.
func network(protocol string, a netip.Addr) string {
	if a.Is4() {
		return protocol + "4"
	}
	return protocol + "6"
}

// serveTCP accepts connections and forwards each to the first backend that
// takes it. The returned function closes the listener.
func serveTCP(ctx context.Context, log *slog.Logger, address netip.AddrPort, choose func() []netip.AddrPort) (func(), error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, network("tcp", address.Addr()), address.String())
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			client, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				// Out of file descriptors, or the client has gone already: the
				// next connection may do better.
				log.Warn("accepting a connection", "address", address, "error", err)
				select {
				case <-ctx.Done():
					return
				case <-time.After(100 * time.Millisecond):
				}
				continue
			}
			go forwardTCP(ctx, log, client.(*net.TCPConn), choose())
		}
	}()
	stopped := context.AfterFunc(ctx, func() { _ = listener.Close() })
	return func() {
		stopped()
		_ = listener.Close()
	}, nil
}

func forwardTCP(ctx context.Context, log *slog.Logger, client *net.TCPConn, backends []netip.AddrPort) {
	backend, err := dialFirst(ctx, backends)
	if err != nil {
		log.Info("no backend took a connection", "address", client.LocalAddr(), "error", err)
		// The client shall see a reset, not an answer that is empty.
		_ = client.SetLinger(0)
		_ = client.Close()
		return
	}
	stop := context.AfterFunc(ctx, func() {
		_ = client.Close()
		_ = backend.Close()
	})
	defer stop()
	var directions sync.WaitGroup
	directions.Go(func() { pipe(backend, client) })
	directions.Go(func() { pipe(client, backend) })
	directions.Wait()
	_ = client.Close()
	_ = backend.Close()
}

// pipe copies one direction, and passes its end on. Between two TCP connections
// the kernel does the copying.
func pipe(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		// One side broke the connection, so the other shall see it broken too.
		_ = to.SetLinger(0)
		_ = to.Close()
		_ = from.Close()
		return
	}
	_ = to.CloseWrite()
}

func dialFirst(ctx context.Context, backends []netip.AddrPort) (*net.TCPConn, error) {
	var failed []error
	dialer := net.Dialer{Timeout: dialTimeout}
	for i, backend := range backends {
		if i == dialAttempts {
			break
		}
		conn, err := dialer.DialContext(ctx, "tcp", backend.String())
		if err == nil {
			return conn.(*net.TCPConn), nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}
