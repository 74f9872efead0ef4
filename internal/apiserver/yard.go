package apiserver

import (
	"context"
	"net/http"
	"time"

	"github.com/packetyard/packetyard/internal/machines"
)

// The addresses at which machines find the server inside their own network.
const (
	yardAPIAddress = "198.18.0.1:80"
	// yardMetadataAddress is the service's own, and the one below it is where
	// programs look that expect EC2.
	yardMetadataAddress = "192.80.8.124:80"
	yardEC2Address      = "169.254.169.254:80"
)

// relisten is how long to wait before listening again in a network that went
// away.
const relisten = 500 * time.Millisecond

// yardEndpoint is a place in the machines' network where the server listens.
type yardEndpoint struct {
	name, address string
	handler       http.Handler
}

func (s *Server) yardEndpoints() []yardEndpoint {
	return []yardEndpoint{
		{"API for machines", yardAPIAddress, s.handler},
		{"metadata service", yardMetadataAddress, s.metadata},
		{"EC2 metadata service", yardEC2Address, s.metadata},
	}
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
			err = serve(ctx, listener, endpoint.handler)
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
