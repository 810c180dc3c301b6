package alerttest

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/pool/otelpool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Suite{Runner: m}) }

const (
	dashboardFile = "../../grafana/dashboard.json"
	alertsFile    = "../../prometheus/alerts.yaml"
)

// An export is what a service with OpenTelemetry's exporter for Prometheus
// shows to whoever scrapes it.
type export struct {
	*otelpool.Telemetry
	t        testing.TB
	registry *prometheus.Registry
}

func newExport(t testing.TB, opts otelpool.Options) *export {
	t.Helper()
	e := &export{t: t, registry: prometheus.NewRegistry()}
	x, err := exporter.New(exporter.WithRegisterer(e.registry))
	require.NoError(t, err)
	opts.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(x))
	e.Telemetry, err = otelpool.New(&opts)
	require.NoError(t, err)
	return e
}

func (e *export) gather() []*dto.MetricFamily {
	e.t.Helper()
	families, err := e.registry.Gather()
	require.NoError(e.t, err)
	return families
}
