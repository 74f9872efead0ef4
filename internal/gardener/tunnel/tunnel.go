// Package tunnel brings connections that a pod accepts to a program on a developer's machine, through the input and output of
// `kubectl exec`: whoever can run a command in a pod needs neither an address that the cluster reaches nor a load balancer.
//
// The connections share the stream by yamux, which has flow control for each, so that a slow one does not hold up the others.
package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/hashicorp/yamux"
)

// Serve accepts connections in the pod and sends each through the stream, until the stream or the context ends. It closes the
// listener.
func Serve(ctx context.Context, listener net.Listener, stream io.ReadWriteCloser) error {
	session, err := yamux.Client(stream, settings())
	if err != nil {
		return fmt.Errorf("beginning the tunnel: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = session.Close() })
	defer stop()
	// Without the other end, nobody answers: the listener must not accept any more.
	go func() {
		<-session.CloseChan()
		_ = listener.Close()
	}()
	return accept(listener.Accept, func() (net.Conn, error) { return session.Open() })
}

// Dial takes what comes out of the stream and connects it to an address of the developer's machine, until the stream or the
// context ends.
func Dial(ctx context.Context, stream io.ReadWriteCloser, address string) error {
	session, err := yamux.Server(stream, settings())
	if err != nil {
		return fmt.Errorf("beginning the tunnel: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = session.Close() })
	defer stop()
	dialer := net.Dialer{}
	return accept(session.Accept, func() (net.Conn, error) { return dialer.DialContext(ctx, "tcp", address) })
}

func settings() *yamux.Config {
	config := yamux.DefaultConfig()
	// The stream is the log's, too, if yamux writes there: kubectl shows what goes wrong.
	config.LogOutput = io.Discard
	return config
}

// accept joins what one end accepts with what the other opens. A connection that cannot be opened is closed: its peer tries again.
func accept(next func() (net.Conn, error), open func() (net.Conn, error)) error {
	var joined sync.WaitGroup
	defer joined.Wait()
	for {
		near, err := next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, yamux.ErrSessionShutdown):
			return nil
		case err != nil:
			return fmt.Errorf("waiting for connections: %w", err)
		}
		joined.Go(func() {
			defer func() { _ = near.Close() }()
			far, err := open()
			if err != nil {
				return
			}
			join(near, far)
		})
	}
}

// join copies both ways until one end has said all. A yamux stream cannot be read any more when it is closed for writing, and no
// client of a webhook closes half a connection.
func join(near, far net.Conn) {
	closeBoth := func() {
		_ = near.Close()
		_ = far.Close()
	}
	var ways sync.WaitGroup
	for _, way := range [...][2]net.Conn{{near, far}, {far, near}} {
		ways.Go(func() {
			defer closeBoth()
			_, _ = io.Copy(way[0], way[1])
		})
	}
	ways.Wait()
}
