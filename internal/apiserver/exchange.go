package apiserver

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// requestTimeout bounds a request, which takes long only if etcd is away.
const requestTimeout = 30 * time.Second

// edge is what stands between the network and the handlers. What is nil is
// not in use.
type edge struct {
	// maxBody is how many bytes a request's body may have.
	maxBody int64
	// timeout is how long a request may take that waits for etcd.
	timeout time.Duration
	// shared is true where also a read waits for etcd.
	shared bool
	// baseURL is where clients find the server, empty for where they asked.
	baseURL string

	limiter *limiter
	audit   *auditLog
	tracer  *tracer
	faults  *faults
	history *history
	gate    *gate
}

// exchange is one request and its answer, as the edge sees it.
type exchange struct {
	ctx   context.Context
	op    *operation
	began time.Time
	// id is the X-Request-Id.
	id string
	// token is nil until the request is known to have a good one.
	token *store.Token
	// quota is what the token has left; its limit is 0 where there is none.
	quota quota
	// fault is what shall go wrong, nil for nothing.
	fault *fault
}

// serve carries out a request and answers it.
func (r *router) serve(w http.ResponseWriter, req *http.Request, op *operation) {
	x := exchange{ctx: req.Context(), op: op, began: time.Now(), id: newRequestID()}
	end := r.edge.tracer.start(&x, req)
	if r.edge.shared || !op.reads {
		ctx, cancel := context.WithTimeout(x.ctx, r.edge.timeout)
		defer cancel()
		x.ctx = store.OneCatchUp(ctx)
	}
	answer, err := r.carryOut(&x, req)
	if err != nil {
		answer = r.explain(&x, err)
	}
	if x.fault.resets() {
		r.record(&x, req, 0, end)
		reset(w)
		return
	}
	r.write(w, req, &x, answer)
	r.record(&x, req, answer.status, end)
	r.edge.audit.write(&x, req, answer)
}

// record tells of an answer whoever keeps accounts. Status 0 stands for a
// connection that was reset.
func (r *router) record(x *exchange, req *http.Request, status int, end func(int)) {
	took := time.Since(x.began)
	r.api.metrics.observe(x.op, status, took)
	r.edge.history.add(x, req, status, took)
	if end != nil {
		end(status)
	}
	if logger := r.api.logger; logger.Enabled(x.ctx, slog.LevelDebug) {
		logger.Log(x.ctx, slog.LevelDebug, "Answered a request.", "operation", x.op.Operation, "method", req.Method,
			"path", req.URL.Path, "status", status, "duration", took, "request", x.id)
	}
}

// carryOut makes the answer. A handler that panics costs its own request, not
// those of all others.
func (r *router) carryOut(x *exchange, req *http.Request) (answer response, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			r.api.metrics.panics.Inc()
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	if x.op.Path == "" {
		if x.op.handle == nil {
			return response{}, errNotFound()
		}
		return x.op.handle(r.api, &request{ctx: x.ctx, http: req})
	}
	err = r.admit(x, req)
	if x.fault = r.edge.faults.choose(x); x.fault != nil {
		if x.fault.wait(x.ctx); !x.fault.AfterHandling && x.fault.fails() {
			return x.fault.answer(), nil
		}
	}
	if err != nil {
		return response{}, err
	}
	if x.op.handle == nil {
		return response{}, refuse(http.StatusNotImplemented, "%s (%s %s) is not implemented by this server",
			x.op.Operation, x.op.Method, x.op.Path)
	}
	if err := r.admitBody(req); err != nil {
		return response{}, err
	}
	if r.edge.gate != nil {
		// Only now: a request that a rule keeps waiting must not keep a reset
		// waiting too.
		defer r.edge.gate.enter()()
	}
	var query url.Values
	if req.URL.RawQuery != "" {
		query = req.URL.Query()
	}
	answer, err = x.op.handle(r.api, &request{ctx: x.ctx, http: req, query: query, token: *x.token, maxBody: r.edge.maxBody})
	if x.fault != nil && x.fault.AfterHandling && x.fault.fails() {
		return x.fault.answer(), nil
	}
	return answer, err
}

// explain makes an answer of an error. What is not the client's fault is
// logged, and told in a text that says nothing.
func (r *router) explain(x *exchange, err error) response {
	var refusal *apiError
	switch logger := r.api.logger; {
	case errors.As(err, &refusal):
	case errors.Is(err, store.ErrTooLarge):
		refusal = &apiError{status: http.StatusRequestEntityTooLarge, messages: []string{"The request body makes a record that is too large to be kept"}}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, store.ErrUnavailable):
		logger.ErrorContext(x.ctx, "A request waited too long for the store.", "operation", x.op.Operation, "request", x.id, "error", err)
		refusal = &apiError{
			status:   http.StatusServiceUnavailable,
			messages: []string{"The server's store does not answer. What was asked for may have been done or not; ask before you try again."},
			header:   http.Header{"Retry-After": {"5"}},
		}
	default:
		refusal = &apiError{status: http.StatusInternalServerError, messages: []string{brokenText}}
		if errors.Is(err, context.Canceled) {
			logger.DebugContext(x.ctx, "A client went away.", "operation", x.op.Operation, "request", x.id)
		} else {
			logger.ErrorContext(x.ctx, "A request failed.", "operation", x.op.Operation, "request", x.id, "error", err)
		}
	}
	body, _ := json.Marshal(packet.ErrorBody{Errors: refusal.messages})
	return response{status: refusal.status, body: body, header: refusal.header}
}

// bodyError says what is wrong with a body that could not be read to its end.
func bodyError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return refuse(http.StatusRequestTimeout, "The request body did not arrive in time")
	}
	return refuse(http.StatusBadRequest, "The request body could not be read to its end")
}

// newRequestID makes a version 4 UUID. It need not be secret, and the
// generator of math/rand/v2 costs a tenth of what crypto/rand does.
func newRequestID() string {
	var raw [16]byte
	for i, word := 0, rand.Uint64(); i < 8; i, word = i+1, word>>8 {
		raw[i] = byte(word)
	}
	for i, word := 8, rand.Uint64(); i < 16; i, word = i+1, word>>8 {
		raw[i] = byte(word)
	}
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	var text [36]byte
	hex.Encode(text[0:8], raw[0:4])
	text[8] = '-'
	hex.Encode(text[9:13], raw[4:6])
	text[13] = '-'
	hex.Encode(text[14:18], raw[6:8])
	text[18] = '-'
	hex.Encode(text[19:23], raw[8:10])
	text[23] = '-'
	hex.Encode(text[24:36], raw[10:16])
	return string(text[:])
}
