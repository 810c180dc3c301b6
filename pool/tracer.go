package pool

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// poolTracer returns what the pool traces its acquires and releases with: t
// without those of exchanges, which nobody would find in their own code. The
// connections keep t itself.
func poolTracer(t pgx.QueryTracer) pgx.QueryTracer {
	a, acquires := t.(pgxpool.AcquireTracer)
	r, releases := t.(pgxpool.ReleaseTracer)
	switch {
	case acquires && releases:
		return struct {
			pgx.QueryTracer
			acquireTracer
			releaseTracer
		}{t, acquireTracer{a}, releaseTracer{r}}
	case acquires:
		return struct {
			pgx.QueryTracer
			acquireTracer
		}{t, acquireTracer{a}}
	case releases:
		return struct {
			pgx.QueryTracer
			releaseTracer
		}{t, releaseTracer{r}}
	}
	return t
}

type acquireTracer struct{ of pgxpool.AcquireTracer }

func (t acquireTracer) TraceAcquireStart(ctx context.Context, pool *pgxpool.Pool, data pgxpool.TraceAcquireStartData) context.Context {
	if ofExchange(ctx) {
		return ctx
	}
	return t.of.TraceAcquireStart(ctx, pool, data)
}

func (t acquireTracer) TraceAcquireEnd(ctx context.Context, pool *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	if !ofExchange(ctx) {
		t.of.TraceAcquireEnd(ctx, pool, data)
	}
}

type releaseTracer struct{ of pgxpool.ReleaseTracer }

func (t releaseTracer) TraceRelease(pool *pgxpool.Pool, data pgxpool.TraceReleaseData) {
	if l := sessionOf(data.Conn); l == nil || !l.untraced.Swap(false) {
		t.of.TraceRelease(pool, data)
	}
}
