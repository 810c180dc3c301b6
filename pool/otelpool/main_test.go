package otelpool_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/otelpool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Suite{Runner: m}) }

const (
	patience = 30 * time.Second
	canary   = "cAnArY-5eCrEt"
)

// A desk is where an operator sits: it reads the metrics and the spans.
type desk struct {
	*otelpool.Telemetry
	t      testing.TB
	reader *sdkmetric.ManualReader
	spans  *tracetest.SpanRecorder
	tracer *sdktrace.TracerProvider
}

func newDesk(t testing.TB, opts otelpool.Options) *desk {
	t.Helper()
	d := &desk{t: t, reader: sdkmetric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
	d.tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(d.spans))
	opts.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(d.reader))
	opts.TracerProvider = d.tracer
	var err error
	d.Telemetry, err = otelpool.New(&opts)
	require.NoError(t, err)
	return d
}

func (d *desk) register(pools ...pool.Reporter) {
	d.t.Helper()
	stop, err := d.Register(pools...)
	require.NoError(d.t, err)
	d.t.Cleanup(func() { require.NoError(d.t, stop()) })
}

// metrics returns what a reader collects now, each value by name and sorted
// attributes, as in a{k=v}; histograms by their count.
func (d *desk) metrics() map[string]float64 {
	d.t.Helper()
	values := make(map[string]float64)
	put := func(name string, attrs attribute.Set, value float64) {
		values[fmt.Sprintf("%s{%s}", name, attrs.Encoded(attribute.DefaultEncoder()))] = value
	}
	for _, m := range d.collect() {
		switch data := m.Data.(type) {
		case metricdata.Gauge[int64]:
			for _, p := range data.DataPoints {
				put(m.Name, p.Attributes, float64(p.Value))
			}
		case metricdata.Gauge[float64]:
			for _, p := range data.DataPoints {
				put(m.Name, p.Attributes, p.Value)
			}
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				put(m.Name, p.Attributes, float64(p.Value))
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				put(m.Name, p.Attributes, float64(p.Count))
			}
		default:
			require.Failf(d.t, "unexpected", "%s is a %T", m.Name, m.Data)
		}
	}
	return values
}

func (d *desk) collect() (all []metricdata.Metrics) {
	d.t.Helper()
	var data metricdata.ResourceMetrics
	require.NoError(d.t, d.reader.Collect(d.t.Context(), &data))
	for _, s := range data.ScopeMetrics {
		all = append(all, s.Metrics...)
	}
	return all
}

// ended returns the spans of a name.
func (d *desk) ended(name string) (found []sdktrace.ReadOnlySpan) {
	for _, s := range d.spans.Ended() {
		if s.Name() == name {
			found = append(found, s)
		}
	}
	return found
}

// A bench is a database with one user and a store that knows its password,
// which holds the canary.
type bench struct {
	*pgtest.DB
	t     testing.TB
	store *sourcetest.Script
	user  string
	n     int
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{DB: pgtest.Database(t), t: t, store: sourcetest.NewScript()}
	b.user = b.Role("app")
	b.CreateUser(b.user, b.password())
	b.publish()
	return b
}

func (b *bench) password() string { return fmt.Sprint(canary, b.n) }

func (b *bench) publish() {
	c := source.Credential{Username: b.user, Password: source.NewSecret(b.password()), Version: fmt.Sprint("v", b.n)}
	b.store.Set(c.WithFields(map[string]source.Secret{"api_key": source.NewSecret(canary)}))
	b.store.Changed()
}

// rotate makes a user for the next credential.
func (b *bench) rotate() {
	b.n++
	b.user = b.Role(fmt.Sprint("app", b.n))
	b.CreateUser(b.user, b.password())
	b.publish()
}

// open makes a pool of four connections, all open.
func (b *bench) open(src source.Source, tel *otelpool.Telemetry, opts pool.Options) *pool.ManagedPool {
	b.t.Helper()
	opts.Logger = slog.New(slog.DiscardHandler)
	opts.Trace = tel.Trace
	if opts.Refresh == nil {
		opts.Refresh = &refresh.Options{}
	}
	opts.Refresh.Name = "orders"
	p, err := pool.Open(b.t.Context(), b.DSN+"&pool_max_conns=4&pool_min_conns=4", src, &opts)
	require.NoError(b.t, err)
	b.t.Cleanup(p.Close)
	eventually(b.t, func() bool { return p.Health().Logins == 4 }, "all are open")
	return p
}

func eventually(t testing.TB, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, patience, 5*time.Millisecond, what)
}
