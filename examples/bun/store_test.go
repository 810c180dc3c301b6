package bunorders_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	bunorders "github.com/rekey-go/rekey/examples/bun"
	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/examples/orders/orderstest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/pooltest"
	"github.com/rekey-go/rekey/refresh"
)

func TestStore(t *testing.T) {
	orderstest.DB(t, func(t *testing.T, db *pool.ManagedDB) orders.Store {
		store := bunorders.New(db)
		_, err := store.Place(t.Context(), "tea", 0)
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "23514", refused.Code)
		return store
	})
}

// The recommended mode, and a statement that is held for life in it.
func TestSimpleProtocol(t *testing.T) {
	srv := pooltest.Postgres(t)
	srv.Exec(t, orders.Schema)
	db := managed(t, srv, pgx.QueryExecModeSimpleProtocol)
	get, err := bun.NewDB(db.DB, pgdialect.New()).PrepareContext(t.Context(), "select id, item, quantity, placed_at from orders where id = $1")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, get.Close()) })
	orderstest.Storm(t, srv, prepared{bunorders.New(db), get}, db)
}

type prepared struct {
	*bunorders.Store
	get bun.Stmt
}

func (p prepared) Get(ctx context.Context, id int64) (o orders.Order, err error) {
	err = p.get.QueryRowContext(ctx, id).Scan(&o.ID, &o.Item, &o.Quantity, &o.Placed)
	if errors.Is(err, sql.ErrNoRows) {
		err = orders.ErrNotFound
	}
	return o, err
}

// Why it is recommended: as it is, pgx prepares a statement on the server for
// each value, and keeps the last 512 of them on each connection.
func TestSimpleProtocolPreparesNothing(t *testing.T) {
	srv := pooltest.Postgres(t)
	srv.Exec(t, orders.Schema)
	require.Greater(t, held(t, managed(t, srv, pgx.QueryExecModeCacheStatement)), 500)
	require.Zero(t, held(t, managed(t, srv, pgx.QueryExecModeSimpleProtocol)))
}

// held counts the statements that a connection holds after reads of 600 orders.
func held(t *testing.T, db *pool.ManagedDB) (n int) {
	t.Helper()
	db.SetMaxOpenConns(1)
	store := bunorders.New(db)
	for id := range int64(600) {
		_, err := store.Get(t.Context(), id)
		require.ErrorIs(t, err, orders.ErrNotFound)
	}
	require.NoError(t, db.QueryRowContext(t.Context(), "select count(*) from pg_prepared_statements").Scan(&n))
	return n
}

func managed(t *testing.T, srv *pooltest.Server, mode pgx.QueryExecMode) *pool.ManagedDB {
	t.Helper()
	config, err := pgx.ParseConfig(srv.DSN())
	require.NoError(t, err)
	config.DefaultQueryExecMode = mode
	r, err := refresh.New(t.Context(), srv.Store(), nil)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	db, err := pool.OpenDB(t.Context(), pool.Postgres(config), r, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	return db
}
