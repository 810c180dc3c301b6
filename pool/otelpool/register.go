package otelpool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

var states = []refresh.State{refresh.Fresh, refresh.Degraded, refresh.Expired, refresh.Disowned, refresh.Closed}

// Named gives p a name of its own in metrics. Pools that share a credential
// need one each.
func Named(name string, p pool.Reporter) pool.Reporter { return named{p, name} }

type named struct {
	pool.Reporter
	name string
}

// names tell a pool from the others in metrics.
type names struct{ credential, pool string }

func namesOf(p pool.Reporter) names {
	n := names{credential: p.Health().Name}
	if own, ok := p.(named); ok {
		n.pool = own.name
	}
	return n
}

func (n names) String() string {
	if n.pool == "" {
		return fmt.Sprintf("credential %q", n.credential)
	}
	return fmt.Sprintf("credential %q, pool %q", n.credential, n.pool)
}

// Register observes the pools until stop is called. Each must have a name of
// its own: give refresh.Options.Name, or [Named] where pools share a
// credential; else Register fails and observes none. Health is asked whenever a
// reader collects, and no goroutine is started. Call stop before or after the
// pools are closed; calling it twice is harmless.
func (t *Telemetry) Register(pools ...pool.Reporter) (stop func() error, err error) {
	observed := make([]*observed, len(pools))
	taken := make([]names, len(pools))
	for i, p := range pools {
		if p == nil {
			return nil, errors.New("otelpool: Register needs pools, got nil")
		}
		taken[i] = namesOf(p)
		observed[i] = t.observed(p, taken[i])
	}
	if err := t.take(taken); err != nil {
		return nil, err
	}
	registration, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, p := range observed {
			p.observe(o)
		}
		return nil
	}, t.instruments.all()...)
	if err != nil {
		t.free(taken)
		return nil, fmt.Errorf("otelpool: %w", err)
	}
	return sync.OnceValue(func() error {
		defer t.free(taken)
		return registration.Unregister()
	}), nil
}

func (t *Telemetry) take(taken []names) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, n := range taken {
		if _, twice := t.names[n]; twice || slices.Contains(taken[:i], n) {
			return fmt.Errorf("otelpool: two pools would report as %s: set refresh.Options.Name, or otelpool.Named where they share a credential", n)
		}
	}
	for _, n := range taken {
		t.names[n] = struct{}{}
	}
	return nil
}

func (t *Telemetry) free(taken []names) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range taken {
		delete(t.names, n)
	}
}

// observed is a pool with the attributes that its observations have.
type observed struct {
	*instruments
	pool      pool.Reporter
	attrs     []attribute.KeyValue
	base      metric.MeasurementOption
	success   metric.MeasurementOption
	rejected  metric.MeasurementOption
	states    map[refresh.State]metric.MeasurementOption
	roles     map[string]metric.MeasurementOption
	numbering bool
}

func (t *Telemetry) observed(p pool.Reporter, n names) *observed {
	o := &observed{
		instruments: t.instruments, pool: p, numbering: t.opts.Generations,
		states: make(map[refresh.State]metric.MeasurementOption),
		roles:  make(map[string]metric.MeasurementOption),
	}
	o.attrs = append(o.attrs, attribute.String("rekey.credential.name", n.credential))
	if n.pool != "" {
		o.attrs = append(o.attrs, attribute.String("db.client.connection.pool.name", n.pool))
	}
	o.base = o.with()
	o.success = o.with(attribute.String("rekey.login.outcome", "success"))
	o.rejected = o.with(attribute.String("rekey.login.outcome", "rejected"))
	for _, s := range states {
		o.states[s] = o.with(attribute.String("rekey.pool.state", string(s)))
	}
	for _, r := range roles {
		o.roles[r] = o.with(attribute.String("rekey.generation.role", r))
	}
	return o
}

func (o *observed) with(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(slices.Concat(o.attrs, more)...))
}

func (o *observed) observe(to metric.Observer) {
	h := o.pool.Health()
	for s, attrs := range o.states {
		is := int64(0)
		if s == h.State {
			is = 1
		}
		to.ObserveInt64(o.status, is, attrs)
	}
	if h.State != refresh.Closed { // nothing is refreshed any more, so nothing is late
		if !h.Expires.IsZero() {
			to.ObserveFloat64(o.expiry, time.Until(h.Expires).Seconds(), o.base)
			to.ObserveFloat64(o.lifetime, h.Expires.Sub(h.Issued).Seconds(), o.base)
		}
		to.ObserveInt64(o.generation, integer(h.Generation), o.base)
		to.ObserveInt64(o.failures, int64(h.Failures), o.base)
		to.ObserveInt64(o.rejections, int64(h.Rejections), o.base)
		to.ObserveInt64(o.leases, int64(h.LiveLeases), o.base)
	}
	to.ObserveInt64(o.logins, integer(h.Logins), o.success)
	to.ObserveInt64(o.logins, integer(h.LoginsRejected), o.rejected)
	o.observeConnections(to, h)
	to.ObserveInt64(o.overstaying, int64(h.Overstaying), o.base)
	to.ObserveInt64(o.retired, integer(h.Retired), o.base)
	to.ObserveInt64(o.disowned, integer(h.Disowned), o.base)
	to.ObserveInt64(o.severed, integer(h.Severed), o.base)
	to.ObserveInt64(o.denied, integer(h.Denied), o.base)
	to.ObserveInt64(o.takenBack, integer(h.TakenBack), o.base)
	to.ObserveInt64(o.renewals, int64(h.Renewals), o.base)
	to.ObserveInt64(o.unrevoked, int64(h.UnrevokedLeases), o.base)
}

var roles = []string{"current", "replaced"}

func role(generation, current uint64) string {
	if generation == current {
		return "current"
	}
	return "replaced"
}

func (o *observed) observeConnections(to metric.Observer, h pool.Health) {
	if o.numbering {
		for g, n := range h.Connections {
			to.ObserveInt64(o.connections, int64(n), o.with(
				attribute.String("rekey.generation.role", role(g, h.Generation)),
				attribute.Int64("rekey.generation.number", integer(g))))
		}
		return
	}
	sums := make(map[string]int64)
	for g, n := range h.Connections {
		sums[role(g, h.Generation)] += int64(n)
	}
	for _, r := range roles {
		to.ObserveInt64(o.connections, sums[r], o.roles[r])
	}
}

func integer(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
