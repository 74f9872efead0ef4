package processtest

import (
	"context"
	"fmt"
	"net"
	"testing"
)

// FreePort is a TCP port that nobody listens on, at any IPv4 address of this host.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := FindPort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// FindPort is FreePort where there is no test: before the first of them.
func FindPort() (int, error) {
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp4", ":0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer func() { _ = listener.Close() }() // It was only opened to learn its number.
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("finding a free port: got a %T", listener.Addr())
	}
	return address.Port, nil
}
