package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"k8s.io/client-go/rest"
)

// probeTimeout bounds one probe, so that a round over a few nodes that are
// down is over before the next.
const probeTimeout = 3 * time.Second

// prober asks API servers whether they are ready. An answer counts only from
// a server that proves, with a certificate of the cluster's CA for the name by
// which this process knows the API server, that it is one of this cluster.
type prober struct {
	client *http.Client
	// host is where this process itself reaches Kubernetes.
	host string
}

func newProber(config *rest.Config, dial func(context.Context, string, string) (net.Conn, error)) (*prober, error) {
	at, err := url.Parse(config.Host)
	if err != nil || at.Hostname() == "" {
		// A host without a scheme is a plain host and port.
		if at, err = url.Parse("https://" + config.Host); err != nil {
			return nil, fmt.Errorf("the address of Kubernetes %q is no URL: %w", config.Host, err)
		}
	}
	verify, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, fmt.Errorf("reading how to verify API servers: %w", err)
	}
	if verify == nil {
		verify = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if verify.ServerName == "" {
		verify.ServerName = at.Hostname()
	}
	// A connection that is kept says nothing about where the address is now.
	var transport http.RoundTripper = &http.Transport{TLSClientConfig: verify, DisableKeepAlives: true, DialContext: dial}
	if transport, err = rest.HTTPWrappersForConfig(config, transport); err != nil {
		return nil, fmt.Errorf("reading how to log in to API servers: %w", err)
	}
	return &prober{client: &http.Client{Transport: transport, Timeout: probeTimeout}, host: at.Hostname()}, nil
}

// ready returns nil if the API server at an address says that it is ready.
func (p *prober) ready(ctx context.Context, address string, port int32) error {
	target := "https://" + net.JoinHostPort(address, strconv.Itoa(int(port))) + "/readyz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return fmt.Errorf("probing %s: %w", target, err)
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return fmt.Errorf("probing: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("probing %s: %s", target, answer.Status)
	}
	return nil
}

// readyAt returns nil if an API server is ready at one of some addresses.
func (p *prober) readyAt(ctx context.Context, addresses []string, port int32) error {
	if len(addresses) == 0 {
		return errors.New("the node has no address yet")
	}
	var problems []error
	for _, address := range addresses {
		err := p.ready(ctx, address, port)
		if err == nil {
			return nil
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}
