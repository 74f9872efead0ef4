package kubeproxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// health answers the health checks of load balancers and people.
type health struct {
	address     string
	now         func() time.Time
	lastUpdated atomic.Pointer[time.Time]
}

func newHealth(address string, now func() time.Time) *health {
	return &health{address: address, now: now}
}

// updated notes that the services of the API are being served.
func (h *health) updated() {
	now := h.now()
	h.lastUpdated.Store(&now)
}

// ServeHTTP answers 200 once services are served, and 503 before.
func (h *health) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	answer := map[string]time.Time{"currentTime": h.now()}
	status := http.StatusServiceUnavailable
	if last := h.lastUpdated.Load(); last != nil {
		status = http.StatusOK
		answer["lastUpdated"] = *last
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // A client that has gone needs no answer.
}

// serve listens until the context ends.
func (h *health) serve(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", h)
	mux.Handle("GET /livez", h)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", h.address)
	if err != nil {
		return fmt.Errorf("opening the health check's address: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving health checks: %w", err)
	}
	return ctx.Err()
}
