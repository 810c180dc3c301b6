package gormorders_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	gormorders "github.com/rekey-go/rekey/examples/gorm"
	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/examples/orders/orderstest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/pooltest"
	"github.com/rekey-go/rekey/refresh"
)

func TestStore(t *testing.T) { orderstest.DB(t, open(gorm.Config{})) }

// The statements that GORM holds are prepared anew on each connection.
func TestStoreWithPreparedStatements(t *testing.T) {
	orderstest.DB(t, open(gorm.Config{PrepareStmt: true}))
}

func open(config gorm.Config) func(*testing.T, *pool.ManagedDB) orders.Store {
	return func(t *testing.T, db *pool.ManagedDB) orders.Store {
		config.Logger = logger.Discard
		store, err := gormorders.New(db, config)
		require.NoError(t, err)

		_, err = store.Place(t.Context(), "tea", 0)
		require.ErrorIs(t, err, gorm.ErrCheckConstraintViolated)
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "23514", refused.Code)
		return store
	}
}

// What gorm.Open does by itself when the database is away: it closes the pool
// that it was given, for good.
func TestOpenWhileTheDatabaseIsAway(t *testing.T) {
	srv := pooltest.Postgres(t)
	srv.Exec(t, orders.Schema)
	ours, plain := managed(t, srv, nil), managed(t, srv, nil)

	srv.Stop(t)
	store, err := gormorders.New(ours, gorm.Config{Logger: logger.Discard})
	require.NoError(t, err)
	_, err = gorm.Open(postgres.New(postgres.Config{Conn: plain.DB}), &gorm.Config{Logger: logger.Discard})
	require.Error(t, err)
	srv.Start(t)

	_, err = store.Get(t.Context(), 1)
	require.ErrorIs(t, err, orders.ErrNotFound)
	require.ErrorContains(t, plain.PingContext(t.Context()), "database is closed")
}

func managed(t *testing.T, srv *pooltest.Server, tracer pgx.QueryTracer) *pool.ManagedDB {
	t.Helper()
	config, err := pgx.ParseConfig(srv.DSN())
	require.NoError(t, err)
	config.Tracer = tracer
	r, err := refresh.New(t.Context(), srv.Store(), nil)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	db, err := pool.OpenDB(t.Context(), pool.Postgres(config), r, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}
