package tunnel_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/packetyard/packetyard/internal/gardener/tunnel"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// begin runs both ends of a tunnel to an address, and returns the pod's address and what ends the stream.
func begin(t *testing.T, address string) (pod string, cut func()) {
	t.Helper()
	inPod, here := net.Pipe()
	listener := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	var ends sync.WaitGroup
	for _, run := range []func() error{
		func() error { return tunnel.Serve(ctx, listener, inPod) },
		func() error { return tunnel.Dial(ctx, here, address) },
	} {
		ends.Go(func() {
			if err := run(); err != nil {
				t.Errorf("an end of the tunnel ended with %v", err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		ends.Wait()
	})
	return listener.Addr().String(), func() { _ = here.Close() }
}

// TestManyRequestsAtOnce is what an API server does: TLS to the webhooks, many at a time, large and small.
func TestManyRequestsAtOnce(t *testing.T) {
	webhooks := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The answer begins when all has been read: HTTP/1.1 does not promise more.
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}))
	defer webhooks.Close()
	pod, _ := begin(t, webhooks.Listener.Addr().String())
	var requests sync.WaitGroup
	for n := range 40 {
		requests.Go(func() {
			body := make([]byte, 1+n*37_000)
			_, _ = rand.Read(body)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("https://%s/%d", pod, n), bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			answer, err := webhooks.Client().Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = answer.Body.Close() }()
			if back, err := io.ReadAll(answer.Body); err != nil || !bytes.Equal(back, body) {
				t.Errorf("request %d: %v, %d bytes came back of %d", n, err, len(back), len(body))
			}
		})
	}
	requests.Wait()
}

// TestNobodyListensHere closes the connection, so that the API server does not wait for its time-out.
func TestNobodyListensHere(t *testing.T) {
	closed := listen(t)
	_ = closed.Close()
	pod, _ := begin(t, closed.Addr().String())
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", pod)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if got, err := io.ReadAll(connection); len(got) != 0 && err == nil {
		t.Errorf("%q was read", got)
	}
}

// TestThePodRefusesWithoutTheOtherEnd is about a developer who went away: a connection has to fail at once.
func TestThePodRefusesWithoutTheOtherEnd(t *testing.T) {
	inPod, here := net.Pipe()
	listener := listen(t)
	ended := make(chan error, 1)
	go func() { ended <- tunnel.Serve(t.Context(), listener, inPod) }()
	_ = here.Close()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String()); err == nil {
		_ = connection.Close()
		t.Error("it still accepts connections")
	} else if !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
}
