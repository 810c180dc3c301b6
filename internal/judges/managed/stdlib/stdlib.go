// Package stdlib stands in for pgx's package of that name in pgx's own tests:
// the same names, but what it opens is a managed DB.
package stdlib

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/rekey-go/rekey/internal/judges/managed/pgxpool"
	"github.com/rekey-go/rekey/internal/judges/managed/sql"
	"github.com/rekey-go/rekey/pool"
)

// Types that managed pools share with those that they embed.
type (
	// Conn is pgx's.
	Conn = stdlib.Conn
	// ShouldPingParams is pgx's.
	ShouldPingParams = stdlib.ShouldPingParams
)

// RandomizeHostOrderFunc is pgx's.
var RandomizeHostOrderFunc = stdlib.RandomizeHostOrderFunc

// An OptionOpenDB is a hook of the dialer: pgx's own options cannot be looked into.
type OptionOpenDB func(*pool.PostgresDialer)

// OptionBeforeConnect stands in for pgx's.
func OptionBeforeConnect(hook func(context.Context, *pgx.ConnConfig) error) OptionOpenDB {
	return func(d *pool.PostgresDialer) { d.BeforeConnect = hook }
}

// OptionAfterConnect stands in for pgx's.
func OptionAfterConnect(hook func(context.Context, *pgx.Conn) error) OptionOpenDB {
	return func(d *pool.PostgresDialer) { d.AfterConnect = hook }
}

// OptionResetSession stands in for pgx's.
func OptionResetSession(hook func(context.Context, *pgx.Conn) error) OptionOpenDB {
	return func(d *pool.PostgresDialer) { d.ResetSession = hook }
}

// OptionShouldPing stands in for pgx's.
func OptionShouldPing(hook func(context.Context, ShouldPingParams) bool) OptionOpenDB {
	return func(d *pool.PostgresDialer) { d.ShouldPing = hook }
}

// OpenDB stands in for pgx's, which cannot fail.
func OpenDB(config pgx.ConnConfig, opts ...OptionOpenDB) *sql.DB {
	db, err := sql.OpenConfig(&config, func(d *pool.PostgresDialer) {
		for _, opt := range opts {
			opt(d)
		}
	})
	if err != nil {
		panic(err)
	}
	return db
}

// OpenDBFromPool is pgx's over a managed pool.
func OpenDBFromPool(p *pgxpool.Pool) *sql.DB { return sql.Wrap(stdlib.OpenDBFromPool(p.Pool)) }

// RegisterConnConfig stands in for pgx's.
func RegisterConnConfig(config *pgx.ConnConfig) string {
	name := stdlib.RegisterConnConfig(config)
	sql.Registered.Store(name, config)
	return name
}

// UnregisterConnConfig stands in for pgx's.
func UnregisterConnConfig(name string) {
	sql.Registered.Delete(name)
	stdlib.UnregisterConnConfig(name)
}
