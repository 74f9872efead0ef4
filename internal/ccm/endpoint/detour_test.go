package endpoint

import (
	"context"
	"net"
	"testing"
)

// TestProbeOfTheAddressReachedAnotherServer is about networks that do not lead
// from the inside to the device that has the address: kube-proxy takes it from
// the Service that publishes it, and some machines have it on their loopback
// interface. All probes went well there, and the address stayed with the dead.
func TestProbeOfTheAddressReachedAnotherServer(t *testing.T) {
	w := newWorld(t)
	config := w.config
	config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(address); err == nil && host == w.reservation.Address {
			address = net.JoinHostPort(w.doors["cp-2"].host, port)
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	w.start(config)
	w.mustSync()
	w.expectHolder("cp-0")
	w.doors["cp-0"].set(true, nil)
	w.mustSync()
	w.expectHolder("cp-0")
	w.mustSync()
	w.expectHolder("cp-1")
}
