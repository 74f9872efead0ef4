package apiserver

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// controlPrefix is where the routes are that are no part of the Packet API.
const controlPrefix = "/_packetyard/"

// maxControlBody bounds seeds and snapshots.
const maxControlBody = 256 << 20

// controlHandler serves the control routes: those that tell how the server is
// doing to everybody, and with --control the others to whoever has the
// server's own token.
func (s *Server) controlHandler() http.Handler {
	c := &control{server: s, mux: http.NewServeMux()}
	c.mux.HandleFunc("GET "+controlPrefix+"health", func(w http.ResponseWriter, _ *http.Request) {
		c.write(w, http.StatusOK, status{Status: "ok"})
	})
	c.mux.HandleFunc("GET "+controlPrefix+"ready", c.ready)
	c.mux.Handle("GET "+controlPrefix+"metrics", promhttp.HandlerFor(s.api.metrics.registry, promhttp.HandlerOpts{}))
	c.mux.HandleFunc("/", c.unknown)
	if s.cfg.Control {
		c.routes()
	}
	return c.mux
}

// control answers the control routes.
type control struct {
	server *Server
	mux    *http.ServeMux
}

type status struct {
	Status     string `json:"status"`
	WaitingFor string `json:"waiting_for,omitempty"`
}

// controlled answers one control route with a value, nil for none.
type controlled func(req *http.Request) (any, error)

func (c *control) routes() {
	for pattern, answer := range map[string]controlled{
		"POST reset":                        c.reset,
		"POST seed":                         c.seed,
		"GET snapshot":                      c.saveSnapshot,
		"PUT snapshot":                      c.restoreSnapshot,
		"GET clock":                         c.getClock,
		"POST clock":                        c.turnClock,
		"GET faults":                        c.listFaults,
		"POST faults":                       c.addFault,
		"DELETE faults":                     c.clearFaults,
		"DELETE faults/{id}":                c.deleteFault,
		"GET requests":                      c.listRequests,
		"GET requests/counts":               c.countRequests,
		"DELETE requests":                   c.clearRequests,
		"POST ip-reservations/{id}/approve": c.approveReservation,
		"POST ip-reservations/{id}/deny":    c.denyReservation,
		"POST projects/{id}/bgp-ranges":     c.addBGPRange,
		"PUT bgp-sessions/{id}":             c.reportBGPSession,
		"DELETE requests/{any}":             func(*http.Request) (any, error) { return nil, errNotFound() },
	} {
		method, path, _ := strings.Cut(pattern, " ")
		c.mux.HandleFunc(method+" "+controlPrefix+path, func(w http.ResponseWriter, req *http.Request) {
			c.serve(w, req, "control:"+path, answer)
		})
	}
}

// serve checks who asks, answers, and leaves a trace in the audit log.
func (c *control) serve(w http.ResponseWriter, req *http.Request, name string, answer controlled) {
	began, id := time.Now(), newRequestID()
	w.Header().Set("X-Request-Id", id)
	code := http.StatusOK
	value, err := any(nil), c.authorize(req)
	if err == nil {
		value, err = answer(req)
	}
	var refusal *apiError
	switch {
	case errors.As(err, &refusal):
		code, value = refusal.status, failure{refusal.messages}
	case err != nil:
		c.server.cfg.Logger.ErrorContext(req.Context(), "A control request failed.", "operation", name, "request", id, "error", err)
		code, value = http.StatusInternalServerError, failure{[]string{err.Error()}}
	case value == nil:
		code = http.StatusNoContent
	}
	c.write(w, code, value)
	if req.Method != http.MethodGet || code == http.StatusUnauthorized {
		c.server.edge.audit.add(auditRecord{
			RequestID: id, Operation: name, Method: req.Method, Object: shortened(req.PathValue("id")), Status: code,
		}, req, nil, began)
	}
}

// failure is the API's form of an error.
type failure struct {
	Errors []string `json:"errors"`
}

// authorize lets in whoever has the token that the server wrote to its
// credentials: not any token of the API, since these routes reach beyond what
// the API allows anybody, and since a reset or a seed must not lock out who
// asked for it. A web page that is open on the same host cannot know it.
func (c *control) authorize(req *http.Request) error {
	sent := req.Header.Get("X-Auth-Token")
	if bearer, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); ok && sent == "" {
		sent = bearer
	}
	given, right := sha256.Sum256([]byte(sent)), sha256.Sum256([]byte(c.server.credentials.APIToken))
	if subtle.ConstantTimeCompare(given[:], right[:]) != 1 {
		return refuse(http.StatusUnauthorized, "Invalid authentication token: the control routes take the token of %s", CredentialsFile)
	}
	return nil
}

func (c *control) ready(w http.ResponseWriter, req *http.Request) {
	if waiting := c.server.waitingFor(); waiting != "" {
		c.write(w, http.StatusServiceUnavailable, status{Status: "starting", WaitingFor: waiting})
		return
	}
	if err := c.server.store.Ready(req.Context()); err != nil {
		c.server.cfg.Logger.WarnContext(req.Context(), "The server is not ready.", "error", err)
		c.write(w, http.StatusServiceUnavailable, status{Status: "waiting", WaitingFor: "store"})
		return
	}
	c.write(w, http.StatusOK, status{Status: "ready"})
}

// unknown refuses what is no control route, or not with this method, or not
// without --control.
func (c *control) unknown(w http.ResponseWriter, req *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		if _, pattern := c.mux.Handler(&http.Request{Method: method, URL: req.URL, Host: req.Host}); pattern != everything {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		c.write(w, http.StatusMethodNotAllowed, failure{[]string{"Method " + shortened(req.Method) + " is not one of: " + strings.Join(allowed, ", ")}})
		return
	}
	text := "Not found"
	if !c.server.cfg.Control {
		text += ": the control routes are served with --control only"
	}
	c.write(w, http.StatusNotFound, failure{[]string{text}})
}

func (c *control) write(w http.ResponseWriter, code int, value any) {
	w.Header()["Content-Type"] = contentTypeJSON
	if w.Header().Get("X-Request-Id") == "" {
		w.Header().Set("X-Request-Id", newRequestID())
	}
	w.WriteHeader(code)
	if value != nil {
		// The client is gone where this fails.
		_ = json.NewEncoder(w).Encode(value)
	}
}

// readControl reads a body of JSON, and refuses what it does not know.
func readControl(req *http.Request, into any) error {
	body, err := readControlBody(req)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return refuse(http.StatusUnprocessableEntity, "The request body is wrong: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if decoder.More() {
		return refuse(http.StatusBadRequest, "The request body is more than one JSON object")
	}
	return nil
}

func readControlBody(req *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(req.Body, maxControlBody+1))
	switch {
	case err != nil:
		return nil, bodyError(err)
	case len(body) > maxControlBody:
		return nil, errTooLarge(maxControlBody)
	case len(bytes.TrimSpace(body)) == 0:
		return nil, refuse(http.StatusBadRequest, "The request body is empty")
	}
	return body, nil
}
