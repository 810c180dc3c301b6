package main

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/rekey-go/rekey/pool/otelpool"
)

// A telemetry is what the service says of itself: its own requests, its pools
// and the Go runtime, for Prometheus.
type telemetry struct {
	metrics  http.Handler
	pools    *otelpool.Telemetry
	requests metric.Float64Histogram
}

func newTelemetry() (*telemetry, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := exporter.New(exporter.WithRegisterer(registry), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo())
	if err != nil {
		return nil, err
	}
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	t := &telemetry{metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{})}
	if t.pools, err = otelpool.New(&otelpool.Options{MeterProvider: provider}); err != nil {
		return nil, err
	}
	t.requests, err = provider.Meter("httpserver").Float64Histogram("http.server.request.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of requests."),
		metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
	return t, err
}

// observed logs and measures requests. Labels come from the routes, not from
// what clients send, so there is an end to them.
func (t *telemetry) observed(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		answer := &answer{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		took := time.Since(began)

		log.LogAttrs(r.Context(), slog.LevelInfo, "request", slog.String("method", r.Method), slog.String("path", r.URL.Path),
			slog.Int("status", answer.status), slog.Float64("seconds", took.Seconds()))
		method, route, found := strings.Cut(r.Pattern, " ")
		if !found {
			method, route = "_OTHER", ""
		}
		t.requests.Record(r.Context(), took.Seconds(), metric.WithAttributes(attribute.String("http.request.method", method),
			attribute.String("http.route", route), attribute.Int("http.response.status_code", answer.status)))
	})
}

// An answer remembers its status.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
