package otelpool

import (
	"fmt"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// scope names the instrumentation in what is reported.
const scope = "github.com/rekey-go/rekey/pool/otelpool"

// Options adjust a [Telemetry]. The zero value, or nil, means the defaults.
type Options struct {
	// MeterProvider makes the instruments. Nil: the global one.
	MeterProvider metric.MeterProvider

	// TracerProvider makes the spans. Nil: the global one.
	TracerProvider trace.TracerProvider

	// Generations adds the number of the generation to each count of
	// connections. Every rotation adds a time series then.
	Generations bool

	// Identify adds the credential's user name and version to spans. Metrics
	// never have them.
	Identify bool
}

// Telemetry reports to OpenTelemetry. One is enough for all pools of a
// process. Make one with [New]. Its methods are safe for concurrent use.
type Telemetry struct {
	opts        Options
	meter       metric.Meter
	tracer      trace.Tracer
	instruments *instruments
	operations  metric.Float64Histogram
	rollovers   metric.Float64Histogram

	mu    sync.Mutex // guards names; never held while a pool is asked
	names map[names]struct{}
}

// New makes the instruments. It fails only if
// the meter provider refuses an instrument.
func New(opts *Options) (*Telemetry, error) {
	t := &Telemetry{names: make(map[names]struct{})}
	if opts != nil {
		t.opts = *opts
	}
	if t.opts.MeterProvider == nil {
		t.opts.MeterProvider = otel.GetMeterProvider()
	}
	if t.opts.TracerProvider == nil {
		t.opts.TracerProvider = otel.GetTracerProvider()
	}
	t.meter = t.opts.MeterProvider.Meter(scope)
	t.tracer = t.opts.TracerProvider.Tracer(scope)
	var err error
	if t.instruments, err = newInstruments(t.meter); err == nil {
		err = t.newHistograms()
	}
	if err != nil {
		return nil, fmt.Errorf("otelpool: %w", err)
	}
	return t, nil
}

func (t *Telemetry) newHistograms() (err error) {
	t.operations, err = t.meter.Float64Histogram("rekey.operation.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of requests to the source, verifications, renewals and revocations."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30))
	if err != nil {
		return err
	}
	t.rollovers, err = t.meter.Float64Histogram("rekey.rollover.duration", metric.WithUnit("s"),
		metric.WithDescription("Time from the adoption of a credential until no connection of an older one is left."),
		metric.WithExplicitBucketBoundaries(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400))
	return err
}
