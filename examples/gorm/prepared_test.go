package gormorders_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/rekey-go/rekey/pool/pooltest"
)

// Why PrepareStmt is better left off: who needs a statement that another caller
// is preparing waits for him, whatever his own context says. Here that one waits
// for the connection of the first, so neither would ever go on; and when he
// gives up, both have failed. (https://github.com/go-gorm/gorm/issues/7465)
func TestPrepareStmtLocksUp(t *testing.T) {
	db := managed(t, pooltest.Postgres(t))
	db.SetMaxOpenConns(1)
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: db.DB}), &gorm.Config{PrepareStmt: true, Logger: logger.Discard})
	require.NoError(t, err)
	tx := g.WithContext(t.Context()).Begin()
	require.NoError(t, tx.Error)

	other, leave := context.WithCancel(t.Context())
	otherDone, done := make(chan error, 1), make(chan error, 1)
	go func() { otherDone <- g.WithContext(other).Exec("select 1").Error }()
	eventually(t, func() bool { return db.Stats().WaitCount == 1 })
	own, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { done <- tx.WithContext(own).Exec("select 1").Error }()
	cache := g.ConnPool.(*gorm.PreparedStmtDB)
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
