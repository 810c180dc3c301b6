package otelpool_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/otelpool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

func ExampleNew() {
	ctx := context.Background()
	spans := tracetest.NewSpanRecorder() // a service has an exporter here
	tel, err := otelpool.New(&otelpool.Options{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	src := source.Static("app", source.NewSecret("correct horse"))
	r, err := refresh.New(ctx, src, &refresh.Options{Name: "orders", Trace: tel.Trace, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	for _, s := range spans.Ended() {
		fmt.Println(s.Name(), s.Attributes()[0].Value.AsString())
	}
	// Output:
	// rekey.fetch orders
}

// standIn stands in for a *pool.ManagedPool.
type standIn struct{ health pool.Health }

func (s standIn) Health() pool.Health { return s.health }

func ExampleTelemetry_Register() {
	ctx := context.Background()
	reader := sdkmetric.NewManualReader() // a service has an exporter here
	tel, err := otelpool.New(&otelpool.Options{
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	db := standIn{pool.Health{Health: refresh.Health{
		Name: "orders", State: refresh.Degraded, Generation: 3, Failures: 2, Expires: time.Now().Add(time.Hour),
	}}}
	stop, err := tel.Register(db)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	var data metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &data); err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range data.ScopeMetrics[0].Metrics {
		if gauge, ok := m.Data.(metricdata.Gauge[int64]); ok {
			fmt.Println(m.Name, gauge.DataPoints[0].Value)
		}
	}
	// Output:
	// rekey.credential.generation 3
	// rekey.refresh.consecutive_failures 2
	// rekey.login.consecutive_rejections 0
}

func ExampleNamed() {
	tel, err := otelpool.New(nil) // the global providers
	if err != nil {
		fmt.Println(err)
		return
	}
	shared := pool.Health{Health: refresh.Health{Name: "orders", State: refresh.Fresh}}
	reads, writes := standIn{shared}, standIn{shared}
	_, err = tel.Register(reads, writes)
	fmt.Println(err != nil)

	stop, err := tel.Register(otelpool.Named("reads", reads), otelpool.Named("writes", writes))
	fmt.Println(err)
	fmt.Println(stop())
	// Output:
	// true
	// <nil>
	// <nil>
}
