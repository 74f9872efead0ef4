package apiserver_test

import (
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
)

func TestTraces(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	server := apiservertest.Start(t, apiservertest.Options{Configure: func(cfg *apiserver.Config) { cfg.Tracing = provider }})
	ask(t, server, "GET", "/metal/v1/projects/"+server.ProjectID, "", map[string]string{
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	})
	until(t, "a span of the request", func() bool { return len(spans.Ended()) == 1 })
	span := spans.Ended()[0]
	if span.Name() != "findProjectById" || span.Parent().TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("span %s with the parent %v", span.Name(), span.Parent())
	}
	attributes := map[string]string{}
	for _, attribute := range span.Attributes() {
		attributes[string(attribute.Key)] = attribute.Value.String()
		if strings.Contains(attribute.Value.String(), server.Token) || strings.Contains(attribute.Value.String(), server.ProjectID) {
			t.Errorf("the span says %s", attribute.Value.String())
		}
	}
	if attributes["http.response.status_code"] != "200" || attributes["http.route"] != "/metal/v1/projects/{id}" || attributes["packet.request_id"] == "" {
		t.Errorf("%v", attributes)
	}
}
