package apiserver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/metadata"
)

// yardRack is a rack with a network of its own, whose addresses are ports of
// this host.
type yardRack struct {
	*rack
	mu        sync.Mutex
	down      bool
	listeners map[string]net.Listener
}

var errDown = errors.New("the switch is down")

func (y *yardRack) Listen(_ context.Context, network, address string) (net.Listener, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.down {
		return nil, errDown
	}
	listener, err := net.Listen(network, "127.0.0.1:0")
	y.listeners[address] = listener
	return listener, err
}

func (y *yardRack) Dial(context.Context, string, string) (net.Conn, error) { return nil, errDown }

// status asks at an address inside the network, 0 for no answer.
func (y *yardRack) status(t *testing.T, address, path, token string) int {
	y.mu.Lock()
	listener := y.listeners[address]
	y.mu.Unlock()
	if listener == nil {
		return 0
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", token)
	req.Close = true
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

func TestMachinesReachTheServerInTheirNetwork(t *testing.T) {
	yard := &yardRack{rack: newRack(), listeners: map[string]net.Listener{}, down: true}
	server := apiservertest.Start(t, apiservertest.Options{Driver: yard})
	base := strings.TrimSuffix(server.URL, "/metal/v1")
	ready := func() bool {
		answer, err := http.Get(base + "/_packetyard/ready")
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}
	if ready() {
		t.Error("the server is ready while its machines cannot reach it")
	}
	up := func() bool {
		return yard.status(t, "198.18.0.1:80", "/metal/v1/user", server.Token) == 200 &&
			// This host is no machine, which the metadata service says itself.
			yard.status(t, "192.80.8.124:80", "/metadata", "") == 404 &&
			yard.status(t, "169.254.169.254:80", "/2009-04-04/meta-data", "") == 404 && ready()
	}
	yard.mu.Lock()
	yard.down = false
	yard.mu.Unlock()
	until(t, "listening when the network comes", up)

	yard.mu.Lock()
	yard.down = true
	for address, listener := range yard.listeners {
		_ = listener.Close()
		delete(yard.listeners, address)
	}
	yard.mu.Unlock()
	until(t, "noticing that the network is gone", func() bool { return !ready() })
	yard.mu.Lock()
	yard.down = false
	yard.mu.Unlock()
	until(t, "listening when the network comes back", up)
}

// TestMachinesReachMetadataByHTTPS asks as Ignition and Talos do, by a name
// that they know, and trusts the certificate that the server keeps.
func TestMachinesReachMetadataByHTTPS(t *testing.T) {
	yard := &yardRack{rack: newRack(), listeners: map[string]net.Listener{}}
	folder := t.TempDir()
	apiservertest.Start(t, apiservertest.Options{Driver: yard, DataDir: folder})
	listener := func() net.Listener {
		yard.mu.Lock()
		defer yard.mu.Unlock()
		return yard.listeners["192.80.8.124:443"]
	}
	until(t, "listening", func() bool { return listener() != nil })
	trusted := x509.NewCertPool()
	certificate, err := os.ReadFile(filepath.Join(folder, "metadata.crt"))
	if err != nil || !trusted.AppendCertsFromPEM(certificate) {
		t.Fatalf("the certificate cannot be trusted: %v", err)
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: trusted},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, listener().Addr().String())
		},
	}}
	for _, host := range metadata.Hosts() {
		answer, err := client.Get("https://" + host + "/metadata")
		if err != nil {
			t.Errorf("asking %s: %v", host, err)
			continue
		}
		_ = answer.Body.Close()
		// This host is no machine.
		if answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s answers %d, want 404", host, answer.StatusCode)
		}
	}
}
