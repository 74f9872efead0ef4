package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// flushTimeout is how long the last spans may take to be sent at the end.
const flushTimeout = 5 * time.Second

// tracing sends spans to where --otlp-endpoint, or the environment as
// OpenTelemetry specifies it, says. The provider is nil where neither does.
func (o *options) tracing(ctx context.Context) (provider trace.TracerProvider, stop func() error, err error) {
	nothing := func() error { return nil }
	var options []otlptracegrpc.Option
	if o.otlpEndpoint != "" {
		u, err := url.Parse(o.otlpEndpoint)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return nil, nothing, fmt.Errorf("--otlp-endpoint %q is not an http:// or https:// URL", o.otlpEndpoint)
		}
		options = append(options, otlptracegrpc.WithEndpointURL(o.otlpEndpoint))
	} else if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, nothing, nil
	}
	exporter, err := otlptracegrpc.New(ctx, options...)
	if err != nil {
		return nil, nothing, fmt.Errorf("preparing to send traces: %w", err)
	}
	// What the environment says of the service counts more than this.
	described, err := resource.Merge(
		resource.NewSchemaless(attribute.String("service.name", "packet-api-server")), resource.Environment())
	if err != nil {
		return nil, nothing, fmt.Errorf("describing the server for traces: %w", err)
	}
	sdk := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described))
	return sdk, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		// A collector that is away is no reason for the server to end badly.
		_ = sdk.Shutdown(ctx)
		return nil
	}, nil
}
