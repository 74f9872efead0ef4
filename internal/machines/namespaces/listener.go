package namespaces

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// listener listens in the machines' network, and goes on doing so when the
// rack, and with it that network, had to be made anew.
type listener struct {
	driver *Driver
	// address is where it listens; after the first time, the port is known.
	address net.Addr
	accepts chan accepted
	closed  chan struct{}

	mutex sync.Mutex
	inner net.Listener
	done  bool
}

type accepted struct {
	connection net.Conn
	err        error
}

// Listen implements machines.Network.
func (d *Driver) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var inner net.Listener
	err := d.persist(ctx, func() (err error) {
		inner, err = d.client.Listen(ctx, network, address)
		return err
	})
	if err != nil {
		return nil, err
	}
	l := &listener{driver: d, address: inner.Addr(), accepts: make(chan accepted), closed: make(chan struct{})}
	d.mutex.Lock()
	closed := d.closed
	if !closed {
		d.listeners[l] = true
	}
	d.mutex.Unlock()
	if closed {
		return nil, errors.Join(fmt.Errorf("listening on %s: the driver is closed", address), inner.Close())
	}
	l.use(inner)
	return l, nil
}

// use accepts from inner from now on.
func (l *listener) use(inner net.Listener) {
	l.mutex.Lock()
	previous := l.inner
	l.inner = inner
	done := l.done
	l.mutex.Unlock()
	if previous != nil {
		previous.Close()
	}
	if done {
		inner.Close()
		return
	}
	go func() {
		for {
			connection, err := inner.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			select {
			case l.accepts <- accepted{connection, err}:
			case <-l.closed:
				if connection != nil {
					connection.Close()
				}
				return
			}
		}
	}()
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case next := <-l.accepts:
		return next.connection, next.err
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: l.address.Network(), Addr: l.address, Err: net.ErrClosed}
	}
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.address }

// Close implements net.Listener.
func (l *listener) Close() error {
	l.driver.mutex.Lock()
	delete(l.driver.listeners, l)
	l.driver.mutex.Unlock()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.done {
		return net.ErrClosed
	}
	l.done = true
	close(l.closed)
	return l.inner.Close()
}

// listenAgain has every listener listen in the network of a new rack.
func (d *Driver) listenAgain(ctx context.Context) {
	d.mutex.Lock()
	open := make([]*listener, 0, len(d.listeners))
	for l := range d.listeners {
		open = append(open, l)
	}
	d.mutex.Unlock()
	for _, l := range open {
		inner, err := d.client.Listen(ctx, l.address.Network(), l.address.String())
		if err != nil {
			d.config.Logger.Error("listening in the yard again failed", "address", l.address.String(), "error", err)
			continue
		}
		l.use(inner)
	}
}
