package apiserver

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/metadata"
	"github.com/packetyard/packetyard/internal/machines"
)

// The addresses at which machines find the server inside their own network.
const (
	yardAPIAddress = "198.18.0.1:80"
	// yardMetadataAddress is the service's own, with a port for each of the two
	// ways in which agents ask, and the last one is where programs look that
	// expect EC2.
	yardMetadataAddress    = "192.80.8.124:80"
	yardMetadataTLSAddress = "192.80.8.124:443"
	yardEC2Address         = "169.254.169.254:80"
)

// relisten is how long to wait before listening again in a network that went
// away.
const relisten = 500 * time.Millisecond

// yardEndpoint is a place in the machines' network where the server listens.
type yardEndpoint struct {
	name, address string
	handler       http.Handler
	// certificate is what to serve HTTPS with, nil for HTTP.
	certificate *tls.Certificate
}

func (s *Server) yardEndpoints() ([]yardEndpoint, error) {
	address := netip.MustParseAddrPort(yardMetadataTLSAddress).Addr()
	certificate, err := metadata.Certificate(s.cfg.DataDir, []netip.Addr{address}, time.Now())
	if err != nil {
		return nil, err
	}
	return []yardEndpoint{
		{"API for machines", yardAPIAddress, s.handler, nil},
		{"metadata service", yardMetadataAddress, s.metadata, nil},
		{"metadata service over HTTPS", yardMetadataTLSAddress, s.metadata, certificate},
		{"EC2 metadata service", yardEC2Address, s.metadata, nil},
	}, nil
}

// serveYard listens inside the machines' network, again and again if that
// goes away and comes back, until the context ends.
func (s *Server) serveYard(ctx context.Context, network machines.Network, endpoint yardEndpoint) {
	logged := ""
	for ctx.Err() == nil {
		listener, err := network.Listen(ctx, "tcp", endpoint.address)
		if err == nil {
			logged = ""
			s.arrived(endpoint.name)
			s.cfg.Logger.InfoContext(ctx, "Listening in the machines' network.", "service", endpoint.name, "address", endpoint.address)
			if endpoint.certificate != nil {
				listener = tls.NewListener(listener, &tls.Config{
					MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*endpoint.certificate},
				})
			}
			err = s.serve(ctx, listener, endpoint.handler)
			s.waitFor(endpoint.name)
		}
		if ctx.Err() != nil {
			return
		}
		// A network that stays away is not worth a line every half second.
		if err != nil && err.Error() != logged {
			logged = err.Error()
			s.cfg.Logger.WarnContext(ctx, "Not listening in the machines' network; trying again.",
				"service", endpoint.name, "address", endpoint.address, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-s.cfg.Clock.After(relisten):
		}
	}
}
