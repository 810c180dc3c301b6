package gormorders_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	gormorders "github.com/rekey-go/rekey/examples/gorm"
	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/pool/pooltest"
)

// Why PrepareStmt is better left off, one: what GORM has first prepared in a
// transaction it prepares again in each, and then has it dropped. pgx by itself
// prepares it once a connection.
func TestPrepareStmtPreparesAgainAndAgain(t *testing.T) {
	srv := pooltest.Postgres(t)
	srv.Exec(t, orders.Schema)
	for _, test := range []struct {
		prepareStmt bool
		least, most int64
	}{{false, 2, 10}, {true, 200, 210}} {
		var counted prepares
		db := managed(t, srv, &counted)
		db.SetMaxOpenConns(1)
		store, err := gormorders.New(db, gorm.Config{PrepareStmt: test.prepareStmt, Logger: logger.Discard})
		require.NoError(t, err)
		for range 100 {
			_, err := store.Place(t.Context(), "tea", 1)
			require.NoError(t, err)
		}
		n := counted.Load()
		require.True(t, test.least <= n && n <= test.most, "%d statements prepared by 100 transactions of two, PrepareStmt %v", n, test.prepareStmt)
	}
}

// prepares counts the statements that are sent to the server to be prepared.
type prepares struct{ atomic.Int64 }

func (*prepares) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (*prepares) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (*prepares) TracePrepareStart(ctx context.Context, _ *pgx.Conn, _ pgx.TracePrepareStartData) context.Context {
	return ctx
}

func (p *prepares) TracePrepareEnd(_ context.Context, _ *pgx.Conn, data pgx.TracePrepareEndData) {
	if !data.AlreadyPrepared {
		p.Add(1)
	}
}

// And two: who needs a statement that another caller
// is preparing waits for him, whatever his own context says. Here that one waits
// for the connection of the first, so neither would ever go on; and when he
// gives up, both have failed. (https://github.com/go-gorm/gorm/issues/7465)
func TestPrepareStmtLocksUp(t *testing.T) {
	db := managed(t, pooltest.Postgres(t), nil)
	db.SetMaxOpenConns(1)
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: db.DB}), &gorm.Config{PrepareStmt: true, Logger: logger.Discard})
	require.NoError(t, err)
	tx := g.WithContext(t.Context()).Begin()
	require.NoError(t, tx.Error)

	other, leave := context.WithCancel(t.Context())
	otherDone, done := make(chan error, 1), make(chan error, 1)
	go func() { otherDone <- g.WithContext(other).Exec("select 1").Error }()
	cache := g.ConnPool.(*gorm.PreparedStmtDB)
	eventually(t, func() bool { return len(cache.Stmts.Keys()) == 1 })
	own, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { done <- tx.WithContext(own).Exec("select 1").Error }()
	eventually(t, func() bool {
		if cache.Mux.TryLock() {
			cache.Mux.Unlock()
			return false
		}
		return true // it waits, with the cache locked
	})

	leave()
	require.ErrorIs(t, <-otherDone, context.Canceled)
	require.ErrorIs(t, <-done, context.Canceled)
	require.NoError(t, own.Err(), "the transaction's own context has not ended")
	require.NoError(t, tx.Rollback().Error)
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 10*time.Second, time.Millisecond)
}
