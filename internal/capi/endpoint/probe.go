package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// probeTimeout bounds one probe.
const probeTimeout = 3 * time.Second

// Dial opens connections for probes; net.Dialer's is one.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// server is what an API server must prove to be, and where it listens.
type server struct {
	// name is the host of the endpoint, which every API server's certificate is for.
	name string
	port int32
	// authority is the cluster's.
	authority *x509.CertPool
}

// ready returns nil if an API server answers at one of a device's addresses. They are asked at the same time, because a
// network often lets only some of them through.
func (s server) ready(ctx context.Context, dial Dial, addresses []string) error {
	if len(addresses) == 0 {
		return errors.New("the device has no address yet")
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.authority, ServerName: s.name},
		// A connection that is kept says nothing about what is there now.
		DisableKeepAlives: true,
		Proxy:             http.ProxyFromEnvironment,
	}
	if dial != nil {
		transport.DialContext, transport.Proxy = dial, nil
	}
	client := &http.Client{Transport: transport}
	results := make(chan error, len(addresses))
	for _, address := range addresses {
		go func() { results <- s.ask(ctx, client, address) }()
	}
	var problems []error
	for range addresses {
		err := <-results
		if err == nil {
			return nil
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

func (s server) ask(ctx context.Context, client *http.Client, address string) error {
	target := "https://" + net.JoinHostPort(address, strconv.Itoa(int(s.port))) + "/readyz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return fmt.Errorf("asking %s: %w", target, err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("asking: %w", err)
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK, http.StatusUnauthorized, http.StatusForbidden:
		// An API server that lets nobody in without a name is one that works.
		return nil
	default:
		return fmt.Errorf("asking %s: %s", target, answer.Status)
	}
}
