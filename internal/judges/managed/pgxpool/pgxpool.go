// Package pgxpool stands in for pgx's package of that name in pgx's own tests:
// the same names, but each pool is a managed one, whose credential comes from a
// source, through a refresher.
package pgxpool

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// Types that managed pools share with those that they embed.
type (
	// Config is pgx's.
	Config = pgxpool.Config
	// Conn is pgx's.
	Conn = pgxpool.Conn
	// ShouldPingParams is pgx's.
	ShouldPingParams = pgxpool.ShouldPingParams
	// TraceAcquireStartData is pgx's.
	TraceAcquireStartData = pgxpool.TraceAcquireStartData
	// TraceAcquireEndData is pgx's.
	TraceAcquireEndData = pgxpool.TraceAcquireEndData
	// TraceReleaseData is pgx's.
	TraceReleaseData = pgxpool.TraceReleaseData
)

// ParseConfig is pgx's.
var ParseConfig = pgxpool.ParseConfig

// A Pool is a managed pool that closes its refresher with itself.
type Pool struct {
	*pool.ManagedPool
	refresher *refresh.Refresher
}

// New stands in for [pgxpool.New].
func New(ctx context.Context, connString string) (*Pool, error) {
	config, err := ParseConfig(connString)
	if err != nil {
		return nil, err
	}
	return NewWithConfig(ctx, config)
}

// NewWithConfig stands in for [pgxpool.NewWithConfig]. User and password of
// config become a source and are taken away from the pool's configuration.
func NewWithConfig(ctx context.Context, config *Config) (*Pool, error) {
	// A start that does not succeed fails: pgx's constructors do not connect, so
	// tests that need no server would wait for ever.
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	p := &Pool{}
	if config.ConnConfig != nil {
		config = config.Copy()
		p.adopt(config.ConnConfig)
	}
	var err error
	if p.refresher, err = Refresher(ctx, config.ConnConfig); err != nil {
		return nil, err
	}
	if p.ManagedPool, err = pool.New(ctx, config, p.refresher, &pool.Options{Logger: Quiet}); err != nil {
		p.refresher.Close()
		return nil, err
	}
	return p, nil
}

// Close closes the pool and then its refresher.
func (p *Pool) Close() {
	p.ManagedPool.Close()
	p.refresher.Close()
}

// Quiet logs nothing.
var Quiet = slog.New(slog.DiscardHandler)

// Refresher takes the credential out of config, which may be nil, and puts it
// behind a refresher.
func Refresher(ctx context.Context, config *pgx.ConnConfig) (*refresh.Refresher, error) {
	user, password := "nobody", "nothing"
	if config != nil {
		user, password = config.User, config.Password
		config.Password = ""
	}
	src := source.Static(user, source.NewSecret(password))
	return refresh.New(ctx, src, &refresh.Options{Logger: Quiet})
}

// An acquireTracer and a releaseTracer are pgx's interfaces with our Pool.
type acquireTracer interface {
	TraceAcquireStart(ctx context.Context, p *Pool, data TraceAcquireStartData) context.Context
	TraceAcquireEnd(ctx context.Context, p *Pool, data TraceAcquireEndData)
}

type releaseTracer interface {
	TraceRelease(p *Pool, data TraceReleaseData)
}

// adopt has a tracer that knows our Pool called by pgx's.
func (p *Pool) adopt(config *pgx.ConnConfig) {
	acquire, ok := config.Tracer.(acquireTracer)
	if !ok {
		return
	}
	release, _ := config.Tracer.(releaseTracer)
	config.Tracer = &tracer{QueryTracer: config.Tracer, acquire: acquire, release: release, pool: p}
}

type tracer struct {
	pgx.QueryTracer
	acquire acquireTracer
	release releaseTracer
	pool    *Pool
}

func (t *tracer) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, data TraceAcquireStartData) context.Context {
	return t.acquire.TraceAcquireStart(ctx, t.pool, data)
}

func (t *tracer) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, data TraceAcquireEndData) {
	t.acquire.TraceAcquireEnd(ctx, t.pool, data)
}

func (t *tracer) TraceRelease(_ *pgxpool.Pool, data TraceReleaseData) {
	if t.release != nil {
		t.release.TraceRelease(t.pool, data)
	}
}
