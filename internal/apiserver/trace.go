package apiserver

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// tracer makes a span of every request, as a part of the trace that the
// client names in its headers (W3C Trace Context).
type tracer struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
}

func newTracer(provider trace.TracerProvider) *tracer {
	if provider == nil {
		return nil
	}
	return &tracer{tracer: provider.Tracer("github.com/packetyard/packetyard/internal/apiserver"), propagator: propagation.TraceContext{}}
}

// start begins the span of a request, puts it into its context, and returns
// what ends it with the status of the answer. The attributes are those of the
// OpenTelemetry conventions for HTTP servers; the path is its template, so
// that it tells nothing of what it is about.
func (t *tracer) start(x *exchange, req *http.Request) func(status int) {
	if t == nil {
		return nil
	}
	ctx, span := t.tracer.Start(t.propagator.Extract(x.ctx, propagation.HeaderCarrier(req.Header)), x.op.Operation,
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(
			attribute.String("http.request.method", req.Method),
			attribute.String("http.route", prefix+x.op.Path),
			attribute.String("packet.request_id", x.id),
		))
	x.ctx = ctx
	return func(status int) {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		if status == 0 || status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(status))
		}
		span.End()
	}
}
