package pool_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
)

// The benchmarks run the same thing through the raw pool and through the
// managed one. Compare them with
//
//	make bench

// rawPool is the pool that a ManagedPool wraps, without it.
func (b *bench) rawPool(maxConns int) *pgxpool.Pool {
	b.t.Helper()
	config, err := pgxpool.ParseConfig(fmt.Sprintf("%s&pool_max_conns=%d", b.DSN, maxConns))
	require.NoError(b.t, err)
	config.ConnConfig.User, config.ConnConfig.Password = b.user, b.password()
	p, err := pgxpool.NewWithConfig(b.t.Context(), config)
	require.NoError(b.t, err)
	b.t.Cleanup(p.Close)
	return p
}

func (b *bench) rawDB() *sql.DB {
	b.t.Helper()
	config, err := pgx.ParseConfig(b.DSN)
	require.NoError(b.t, err)
	config.User, config.Password = b.user, b.password()
	db := stdlib.OpenDB(*config)
	b.t.Cleanup(func() { require.NoError(b.t, db.Close()) })
	return db
}

func (b *bench) managedDB() *pool.ManagedDB {
	b.t.Helper()
	config, err := pgx.ParseConfig(b.DSN)
	require.NoError(b.t, err)
	db, err := pool.OpenDB(b.t.Context(), pool.Postgres(config), b.refresher(nil), &pool.Options{Logger: logger(b.t)})
	require.NoError(b.t, err)
	b.t.Cleanup(func() { require.NoError(b.t, db.Close()) })
	return db
}

type acquirer interface {
	Acquire(ctx context.Context) (*pgxpool.Conn, error)
}

func BenchmarkAcquire(b *testing.B) {
	db := newBench(b)
	run := func(name string, p acquirer) {
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				c, err := p.Acquire(ctx)
				if err != nil {
					b.Fatal(err)
				}
				c.Release()
			}
		})
	}
	run("raw", db.rawPool(4))
	run("managed", db.open(4, nil))
}

// BenchmarkAcquireInRollover is BenchmarkAcquire while a rollover is under way
// that cannot end, because one old connection is lent.
func BenchmarkAcquireInRollover(b *testing.B) {
	db := newBench(b)
	run := func(name string, p acquirer, rotate func()) {
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			held, err := p.Acquire(ctx)
			require.NoError(b, err)
			defer held.Release()
			rotate()
			b.ReportAllocs()
			for b.Loop() {
				c, err := p.Acquire(ctx)
				if err != nil {
					b.Fatal(err)
				}
				c.Release()
			}
		})
	}
	run("raw", db.rawPool(4), func() {})
	p := db.open(4, nil)
	run("managed", p, func() {
		generation := p.Health().Generation
		db.newPassword()
		eventually(b, func() bool { return p.Health().Generation > generation }, "adopted")
		require.NoError(b, selectOne(b.Context(), p))
		require.True(b, p.Attention())
	})
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// BenchmarkQuery is through database/sql.
func BenchmarkQuery(b *testing.B) {
	db := newBench(b)
	run := func(name string, q queryer) {
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				rows, err := q.QueryContext(ctx, "select 1")
				if err != nil {
					b.Fatal(err)
				}
				var n int
				for rows.Next() {
					if err := rows.Scan(&n); err != nil {
						b.Fatal(err)
					}
				}
				if err := rows.Close(); err != nil || n != 1 {
					b.Fatal(err, n)
				}
			}
		})
	}
	run("raw", db.rawDB())
	run("managed", db.managedDB().DB)
}

type rowQueryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// BenchmarkQueryRow is through pgxpool.
func BenchmarkQueryRow(b *testing.B) {
	db := newBench(b)
	run := func(name string, q rowQueryer) {
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				var n int
				if err := q.QueryRow(ctx, "select 1").Scan(&n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("raw", db.rawPool(4))
	run("managed", db.open(4, nil))
}
