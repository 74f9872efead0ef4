package apiserver

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// handler answers one operation.
type handler func(*API, *request) (response, error)

// router finds the route of a request, checks who asks, and writes the answer.
type router struct {
	api *API
	mux *http.ServeMux
}

func newRouter(api *API) http.Handler {
	r := &router{api: api, mux: http.NewServeMux()}
	for _, route := range Routes() {
		r.mux.Handle(route.Method+" "+muxPath(route.Path), r.serve(route))
	}
	r.mux.Handle("/", r.serve(Route{Operation: "unknown"}))
	return r
}

// muxPath names the only parameter of a path id, which is what handlers ask
// for, whatever the document calls it.
func muxPath(path string) string {
	if strings.Count(path, "{") != 1 {
		return path
	}
	first, end := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
	return path[:first] + "{id}" + path[end+1:]
}

// firstParameter is what muxPath calls the first parameter of a path.
func firstParameter(path string) string {
	_, rest, _ := strings.Cut(muxPath(path), "{")
	name, _, _ := strings.Cut(rest, "}")
	return name
}

// ServeHTTP serves the API with and without its prefix, since packngo was
// used with both.
func (r *router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if rest, found := strings.CutPrefix(req.URL.Path, prefix); found && (rest == "" || rest[0] == '/') {
		inner := req.Clone(req.Context())
		inner.URL.Path = cmp.Or(rest, "/")
		inner.URL.RawPath = ""
		req = inner
	}
	r.mux.ServeHTTP(w, req)
}

func (r *router) serve(route Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		began := time.Now()
		requestID := uuid.NewString()
		answer, err := r.answer(route, req)
		if err != nil {
			answer = r.explain(req, route, requestID, err)
		}
		r.write(w, req, requestID, answer)
		r.api.metrics.observe(route.Operation, answer.status, time.Since(began))
		r.api.logger.DebugContext(req.Context(), "Answered a request.", "operation", route.Operation, "method", req.Method,
			"path", req.URL.Path, "status", answer.status, "duration", time.Since(began), "request", requestID)
	})
}

// requestTimeout bounds a request, which takes long only if etcd is away.
const requestTimeout = 30 * time.Second

func (r *router) answer(route Route, req *http.Request) (response, error) {
	if route.Path == "" {
		return response{}, errNotFound()
	}
	token, err := r.admit(route, req)
	if err != nil {
		return response{}, err
	}
	if route.handle == nil {
		return response{}, refuse(http.StatusNotImplemented, "%s (%s %s) is not implemented by this server",
			route.Operation, route.Method, route.Path)
	}
	ctx, cancel := context.WithTimeout(req.Context(), requestTimeout)
	defer cancel()
	return route.handle(r.api, &request{ctx: ctx, http: req, query: req.URL.Query(), token: token})
}

// admit finds the token that a request was sent with, and whether that allows
// what is asked.
func (r *router) admit(route Route, req *http.Request) (token store.Token, err error) {
	sent := req.Header.Get("X-Auth-Token")
	if sent == "" {
		return token, errUnauthorized()
	}
	err = r.api.store.Read(req.Context(), func(s *store.Snapshot) error {
		row, ok := s.Tokens.Get(hashToken(sent))
		if !ok {
			return errUnauthorized()
		}
		token = *row.Value
		return authorize(s, route, req, token)
	})
	return token, err
}

// hashToken is what is stored of a token. Tokens are long and random, so one
// round of SHA-256 gives nothing away.
func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// explain makes an answer of an error. What is not the client's fault is
// logged, and told in a text that says nothing.
func (r *router) explain(req *http.Request, route Route, requestID string, err error) response {
	var refusal *apiError
	switch {
	case errors.As(err, &refusal):
	case errors.Is(err, store.ErrTooLarge):
		refusal = &apiError{status: http.StatusRequestEntityTooLarge, messages: []string{"The request body makes a record that is too large to be kept"}}
	default:
		refusal = &apiError{status: http.StatusInternalServerError, messages: []string{brokenText}}
		if req.Context().Err() != nil || errors.Is(err, context.Canceled) {
			r.api.logger.DebugContext(req.Context(), "A client went away.", "operation", route.Operation, "request", requestID)
		} else {
			r.api.logger.ErrorContext(req.Context(), "A request failed.", "operation", route.Operation, "request", requestID, "error", err)
		}
	}
	body, _ := json.Marshal(packet.ErrorBody{Errors: refusal.messages})
	return response{status: refusal.status, body: body}
}

// write is the one place where answers go out. They all say that they are
// JSON, also those without a body: old clients refuse others.
func (r *router) write(w http.ResponseWriter, req *http.Request, requestID string, answer response) {
	header := w.Header()
	for name, values := range answer.header {
		header[name] = values
	}
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Request-Id", requestID)
	if answer.location != "" {
		scheme := "http"
		if req.TLS != nil {
			scheme = "https"
		}
		header.Set("Location", scheme+"://"+req.Host+answer.location)
	}
	if answer.body != nil {
		header.Set("Content-Length", strconv.Itoa(len(answer.body)))
	}
	w.WriteHeader(answer.status)
	if answer.body != nil {
		// The client is gone where this fails, and has nobody to be told.
		_, _ = w.Write(answer.body)
	}
}
