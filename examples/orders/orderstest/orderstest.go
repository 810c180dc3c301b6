// Package orderstest holds stores of orders against what they promise, and has
// credentials change under them: on a real PostgreSQL, with 16 clients that
// never stop, twenty rotations of passwords and users, and not one failed call.
package orderstest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/pooltest"
	"github.com/rekey-go/rekey/refresh"
)

const (
	clients  = 16
	maxConns = 8
	// pairs of a new password and a new user are twenty rotations.
	pairs = 10
)

// Pool tests a store that is opened on a managed pgxpool. What open starts, it
// ends by t.Cleanup.
func Pool(t *testing.T, open func(*testing.T, *pool.ManagedPool) orders.Store) {
	t.Helper()
	srv := server(t)
	db, err := pool.Open(t.Context(), fmt.Sprintf("%s&pool_max_conns=%d", srv.DSN(), maxConns), srv.Store(), nil)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	hold(t, srv, open(t, db), db)
}

// DB is Pool for a store on database/sql.
func DB(t *testing.T, open func(*testing.T, *pool.ManagedDB) orders.Store) {
	t.Helper()
	srv := server(t)
	config, err := pgx.ParseConfig(srv.DSN())
	require.NoError(t, err)
	r, err := refresh.New(t.Context(), srv.Store(), nil)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	db, err := pool.OpenDB(t.Context(), pool.Postgres(config), r, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	hold(t, srv, open(t, db), db)
}

func server(t *testing.T) *pooltest.Server {
	t.Helper()
	srv := pooltest.Postgres(t)
	srv.Exec(t, orders.Schema)
	return srv
}

func hold(t *testing.T, srv *pooltest.Server, store orders.Store, db pool.Reporter) {
	t.Helper()
	t.Run("contract", func(t *testing.T) { contract(t, store) })
	t.Run("storm", func(t *testing.T) { Storm(t, srv, store, db) })
}

// contract is what every store does.
func contract(t *testing.T, store orders.Store) {
	ctx := t.Context()
	first, err := store.Place(ctx, "coffee", 1)
	require.NoError(t, err)
	require.Positive(t, first.ID)
	require.Equal(t, "coffee", first.Item)
	require.Equal(t, 1, first.Quantity)
	require.False(t, first.Placed.IsZero())
	got, err := store.Get(ctx, first.ID)
	require.NoError(t, err)
	same(t, first, got)

	second, err := store.Place(ctx, "coffee", 2)
	require.NoError(t, err)
	latest, err := store.Latest(ctx, 2)
	require.NoError(t, err)
	require.Len(t, latest, 2)
	same(t, second, latest[0])
	same(t, first, latest[1])
	latest, err = store.Latest(ctx, 1)
	require.NoError(t, err)
	require.Len(t, latest, 1)

	_, err = store.Place(ctx, "coffee", 1)
	require.ErrorIs(t, err, orders.ErrSoldOut)
	_, err = store.Place(ctx, "'; drop table orders; --", 1)
	require.ErrorIs(t, err, orders.ErrSoldOut)
	_, err = store.Place(ctx, "tea", 0)
	require.Error(t, err, "the database refuses it")
	_, err = store.Get(ctx, second.ID+1000)
	require.ErrorIs(t, err, orders.ErrNotFound)
	latest, err = store.Latest(ctx, 100)
	require.NoError(t, err)
	require.Len(t, latest, 2, "nothing is left of what was refused")

	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = store.Latest(ended, 1)
	require.ErrorIs(t, err, context.Canceled)
}

func same(t *testing.T, want, got orders.Order) {
	t.Helper()
	require.True(t, want.Placed.Equal(got.Placed), "placed at %v and %v", want.Placed, got.Placed)
	want.Placed = got.Placed
	require.Equal(t, want, got)
}

// Storm has clients place and read orders while the credential is rotated twenty
// times. No call fails, and each order that was answered is there once.
func Storm(t *testing.T, srv *pooltest.Server, store orders.Store, pools ...pool.Reporter) {
	t.Helper()
	before := count(t, srv)
	var placed atomic.Int64
	load := pooltest.StartLoad(t, clients, func(ctx context.Context) error {
		order, err := store.Place(ctx, "tea", 1)
		if err != nil {
			return fmt.Errorf("place: %w", err)
		}
		placed.Add(1)
		got, err := store.Get(ctx, order.ID)
		if err != nil {
			return fmt.Errorf("get: %w", err)
		}
		if got.ID != order.ID || got.Item != "tea" {
			return fmt.Errorf("order %d: read %+v", order.ID, got)
		}
		latest, err := store.Latest(ctx, 10)
		if err == nil && len(latest) == 0 {
			err = errors.New("none")
		}
		if err != nil {
			return fmt.Errorf("latest: %w", err)
		}
		return nil
	})
	for range pairs {
		srv.Rotate(t, pools...)
	}
	report := load.NoFailures(t)
	require.Equal(t, placed.Load(), count(t, srv)-before, "orders that were answered, and orders that are there")
	t.Logf("%d rotations, %d rounds of 3 calls, 0 failed; p50 %v, p99.9 %v, longest %v",
		2*pairs, report.Statements, report.P50, report.P999, report.Max)
}

// count returns the number of teas that were ordered, which is what the stock
// lacks.
func count(t *testing.T, srv *pooltest.Server) int64 {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), srv.OwnerDSN())
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var sold, gone int64
	err = conn.QueryRow(t.Context(), `select (select coalesce(sum(quantity), 0) from orders where item = 'tea'),
		(select 1000000000 - stock from items where name = 'tea')`).Scan(&sold, &gone)
	require.NoError(t, err)
	require.Equal(t, gone, sold, "taken from the stock, and ordered")
	return sold
}
