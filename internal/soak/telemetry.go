package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/otelpool"
)

// telemetry is what a service shows of itself.
type telemetry struct {
	*otelpool.Telemetry
	reader   *sdkmetric.ManualReader
	provider *sdkmetric.MeterProvider
}

func newTelemetry() (t telemetry, err error) {
	t.reader = sdkmetric.NewManualReader()
	t.provider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(t.reader))
	t.Telemetry, err = otelpool.New(&otelpool.Options{MeterProvider: t.provider})
	return t, err
}

func (t telemetry) close(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// health is what a probe gets to see.
func (s *soak) health() string {
	var pools []pool.Reporter
	for _, v := range s.services {
		if v.pool != nil {
			pools = append(pools, v.pool)
		}
	}
	answer := httptest.NewRecorder()
	pool.Handler(pools...).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	return answer.Body.String()
}

// report writes down what monitoring would get now.
func (s *soak) report(ctx context.Context) {
	var metrics metricdata.ResourceMetrics
	err := s.telemetry.reader.Collect(ctx, &metrics)
	text, marshalErr := json.Marshal(metrics)
	fmt.Fprintf(s.written, "%s%s %v %v\n", s.health(), text, err, marshalErr)
}
