package otelpool_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/otelpool"
	"github.com/rekey-go/rekey/refresh"
)

func TestMetricsFollowARotation(t *testing.T) {
	b := newBench(t)
	b.store.TTL(time.Hour)
	d := newDesk(t, otelpool.Options{})
	p := b.open(b.store, d.Telemetry, pool.Options{})
	d.register(p)

	const of = "rekey.credential.name=orders"
	m := d.metrics()
	require.InDelta(t, 3600, m["rekey.credential.expiry{"+of+"}"], 120)
	require.InDelta(t, 3600, m["rekey.credential.lifetime{"+of+"}"], 1)
	for name, want := range map[string]float64{
		"rekey.pool.status{" + of + ",rekey.pool.state=fresh}":              1,
		"rekey.pool.status{" + of + ",rekey.pool.state=degraded}":           0,
		"rekey.pool.status{" + of + ",rekey.pool.state=expired}":            0,
		"rekey.pool.status{" + of + ",rekey.pool.state=disowned}":           0,
		"rekey.pool.status{" + of + ",rekey.pool.state=closed}":             0,
		"rekey.credential.generation{" + of + "}":                           1,
		"rekey.refresh.consecutive_failures{" + of + "}":                    0,
		"rekey.login.consecutive_rejections{" + of + "}":                    0,
		"rekey.logins{" + of + ",rekey.login.outcome=success}":              4,
		"rekey.logins{" + of + ",rekey.login.outcome=rejected}":             0,
		"rekey.connection.count{" + of + ",rekey.generation.role=current}":  4,
		"rekey.connection.count{" + of + ",rekey.generation.role=replaced}": 0,
		"rekey.connection.overstaying{" + of + "}":                          0,
		"rekey.connection.retired{" + of + "}":                              0,
		"rekey.lease.live{" + of + "}":                                      1,
		"rekey.lease.renewals{" + of + "}":                                  0,
		"rekey.lease.unrevoked{" + of + "}":                                 0,
		"rekey.credential.taken_back{" + of + "}":                           0, "rekey.statement.denied{" + of + "}": 0,
		"rekey.connection.disowned{" + of + "}": 0, "rekey.connection.severed{" + of + "}": 0,
		"rekey.operation.duration{" + of + ",rekey.operation=fetch}":  1,
		"rekey.operation.duration{" + of + ",rekey.operation=verify}": 1,
	} {
		require.Equal(t, want, m[name], name)
	}

	// A rotation, with one connection lent all the while.
	lent, err := p.Acquire(t.Context())
	require.NoError(t, err)
	b.rotate()
	eventually(t, func() bool {
		m = d.metrics()
		return m["rekey.connection.count{"+of+",rekey.generation.role=replaced}"] == 1 &&
			m["rekey.connection.count{"+of+",rekey.generation.role=current}"] >= 3
	}, "all but the lent one are replaced")
	require.Equal(t, 2.0, m["rekey.credential.generation{"+of+"}"])
	require.Equal(t, 3.0, m["rekey.connection.retired{"+of+"}"])
	require.Equal(t, 2.0, m["rekey.lease.live{"+of+"}"], "the old one is held")
	lent.Release()
	eventually(t, func() bool {
		m = d.metrics()
		return m["rekey.connection.count{"+of+",rekey.generation.role=replaced}"] == 0 &&
			m["rekey.connection.retired{"+of+"}"] == 4 && m["rekey.rollover.duration{"+of+"}"] == 1
	}, "the lent one has left")

	// The store is away.
	b.store.Fail(errors.New("the store is sealed"))
	require.Error(t, p.Refresher().Refresh(t.Context()))
	m = d.metrics()
	require.GreaterOrEqual(t, m["rekey.refresh.consecutive_failures{"+of+"}"], 1.0)
	require.Equal(t, 1.0, m["rekey.pool.status{"+of+",rekey.pool.state=degraded}"])
	require.Equal(t, 0.0, m["rekey.pool.status{"+of+",rekey.pool.state=fresh}"])
	require.NotZero(t, m["rekey.operation.duration{error.type=_OTHER,"+of+",rekey.operation=fetch}"])

	// The database changes without the store.
	b.SetPassword(b.user, "changed")
	p.Reset()
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, p.Ping(short), refresh.ErrRejected)
	m = d.metrics()
	require.NotZero(t, m["rekey.logins{"+of+",rekey.login.outcome=rejected}"])
	require.NotZero(t, m["rekey.login.consecutive_rejections{"+of+"}"])

	// A closed pool has no end that anything could be late for.
	p.Close()
	m = d.metrics()
	require.Equal(t, 1.0, m["rekey.pool.status{"+of+",rekey.pool.state=closed}"])
	require.NotContains(t, m, "rekey.credential.expiry{"+of+"}")
	for name := range m {
		require.NotContains(t, name, canary)
		require.NotContains(t, name, "app", "no user name")
	}
}

func TestNoEndNoExpiry(t *testing.T) {
	b := newBench(t)
	d := newDesk(t, otelpool.Options{})
	d.register(b.open(b.store, d.Telemetry, pool.Options{}))
	for name := range d.metrics() {
		require.False(t, strings.HasPrefix(name, "rekey.credential.expiry") || strings.HasPrefix(name, "rekey.credential.lifetime"), name)
	}
}

// refusing makes no histograms, or takes no callbacks.
type refusing struct {
	noop.MeterProvider
	histograms, callbacks error
}

type refusingMeter struct {
	noop.Meter
	p *refusing
}

func (p *refusing) Meter(string, ...metric.MeterOption) metric.Meter { return refusingMeter{p: p} }

func (m refusingMeter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return noop.Float64Histogram{}, m.p.histograms
}

func (m refusingMeter) RegisterCallback(metric.Callback, ...metric.Observable) (metric.Registration, error) {
	return noop.Registration{}, m.p.callbacks
}

func TestProviderThatRefuses(t *testing.T) {
	p := &refusing{histograms: errors.New("no histograms")}
	_, err := otelpool.New(&otelpool.Options{MeterProvider: p})
	require.ErrorContains(t, err, "otelpool: no histograms")

	p = &refusing{callbacks: errors.New("no callbacks")}
	tel, err := otelpool.New(&otelpool.Options{MeterProvider: p})
	require.NoError(t, err)
	_, err = tel.Register(pretend("orders"))
	require.ErrorContains(t, err, "otelpool: no callbacks")
	p.callbacks = nil
	stop, err := tel.Register(pretend("orders"))
	require.NoError(t, err, "the name is free again")
	require.NoError(t, stop())
}

// fixed is a pool that says what it is told to.
type fixed struct{ health pool.Health }

func (f *fixed) Health() pool.Health { return f.health }

func pretend(name string) *fixed {
	return &fixed{pool.Health{Health: refresh.Health{Name: name, State: refresh.Fresh, Generation: 5}}}
}

func TestConnectionsByRoleOrNumber(t *testing.T) {
	f := pretend("orders")
	f.health.Connections = map[uint64]int{3: 1, 5: 2, 6: 4}
	of := func(d *desk) (found []string) {
		values := d.metrics()
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if rest, ok := strings.CutPrefix(name, "rekey.connection.count{rekey.credential.name=orders,"); ok {
				found = append(found, strings.ReplaceAll(rest, "rekey.generation.", "")+" "+string(rune('0'+int(values[name]))))
			}
		}
		return found
	}
	d := newDesk(t, otelpool.Options{})
	d.register(f)
	require.Equal(t, []string{"role=current} 2", "role=replaced} 5"}, of(d), "one that was taken back too")

	d = newDesk(t, otelpool.Options{Generations: true})
	d.register(f)
	require.Equal(t, []string{
		"number=3,role=replaced} 1", "number=5,role=current} 2", "number=6,role=replaced} 4",
	}, of(d))
}

func TestNames(t *testing.T) {
	d := newDesk(t, otelpool.Options{})
	orders, again := pretend("orders"), pretend("orders")
	_, err := d.Register(orders, again)
	require.ErrorContains(t, err, `two pools would report as credential "orders"`)
	_, err = d.Register(otelpool.Named("reads", orders), otelpool.Named("reads", again))
	require.ErrorContains(t, err, `credential "orders", pool "reads"`)
	_, err = d.Register()
	require.NoError(t, err, "no pools")
	_, err = d.Register(nil, orders)
	require.ErrorContains(t, err, "nil")
	require.NotContains(t, d.metrics(), "rekey.credential.generation{rekey.credential.name=orders}", "none is observed")

	stop, err := d.Register(orders, otelpool.Named("reads", again))
	require.NoError(t, err)
	m := d.metrics()
	require.Contains(t, m, "rekey.credential.generation{rekey.credential.name=orders}")
	require.Contains(t, m, "rekey.credential.generation{db.client.connection.pool.name=reads,rekey.credential.name=orders}")
	_, err = d.Register(again)
	require.ErrorContains(t, err, "two pools")
	require.NoError(t, stop())
	require.NoError(t, stop(), "twice is harmless")
	require.Empty(t, d.metrics(), "nothing is observed any more")
	d.register(again)
}
