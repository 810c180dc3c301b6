package dialertest

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// What database/sql offers works, also across a rotation.
func checkDatabaseSQL(t *testing.T, b *bench) {
	db := b.open()
	require.IsType(t, b.Dialer.Driver(), db.Driver())
	ctx := t.Context()
	require.NoError(t, db.PingContext(ctx))

	r, err := db.ExecContext(ctx, b.SQL.Insert, "tea", 2)
	require.NoError(t, err)
	affected, err := r.RowsAffected()
	require.NoError(t, err)
	require.EqualValues(t, 1, affected)
	if !b.SQL.NoLastInsertID {
		id, err := r.LastInsertId()
		require.NoError(t, err)
		require.EqualValues(t, 1, id)
	}

	insert, err := db.PrepareContext(ctx, b.SQL.Insert)
	require.NoError(t, err)
	query, err := db.PrepareContext(ctx, b.SQL.Select)
	require.NoError(t, err)
	qty := func() (n int) {
		t.Helper()
		require.NoError(t, query.QueryRowContext(ctx, "tea").Scan(&n))
		return n
	}
	require.Equal(t, 2, qty())
	_, err = insert.ExecContext(ctx, sql.NullString{}, sql.Null[int]{})
	require.NoError(t, err)

	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	require.NoError(t, err)
	_, err = tx.ExecContext(ctx, b.SQL.Update, 5, "tea")
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
	require.Equal(t, 2, qty())
	tx, err = db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	_, err = tx.ExecContext(ctx, b.SQL.Update, 5, "tea")
	require.Error(t, err)
	require.NoError(t, tx.Rollback())

	// A transaction and prepared statements live through a rotation.
	tx, err = db.BeginTx(ctx, nil)
	require.NoError(t, err)
	r, err = tx.StmtContext(ctx, insert).ExecContext(ctx, "coffee", 1)
	require.NoError(t, err)
	affected, err = r.RowsAffected()
	require.NoError(t, err)
	require.EqualValues(t, 1, affected)
	old := b.newUser()
	eventually(t, func() bool { return db.Health().Generation == 2 }, "adopted")
	_, err = tx.ExecContext(ctx, b.SQL.Update, 7, "tea")
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	require.NoError(t, db.Drained(within(t, patience), "v0"))
	b.DropUser(old)
	require.Equal(t, 7, qty())
	require.NoError(t, insert.Close())
	require.NoError(t, query.Close())

	canceled, cancel := context.WithCancel(ctx)
	tx, err = db.BeginTx(canceled, nil)
	require.NoError(t, err)
	cancel()
	eventually(t, func() bool { return errors.Is(tx.Commit(), sql.ErrTxDone) }, "rolled back")
	eventually(t, func() bool { return db.Stats().InUse == 0 }, "given back")
	require.Equal(t, b.user, b.sessionUser(db))

	conn, err := db.Conn(ctx)
	require.NoError(t, err)
	require.NoError(t, conn.Raw(func(c any) error {
		_, ok := c.(driver.Conn)
		require.True(t, ok)
		return nil
	}))
	require.ErrorIs(t, conn.Raw(func(any) error { return driver.ErrBadConn }), driver.ErrBadConn)
	_ = conn.Close() // it has been closed as a bad one
	require.Equal(t, b.user, b.sessionUser(db))
}

const canary = "cAnArY-5eCrEt"

// A catcher keeps all that is said.
type catcher struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (c *catcher) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.Write(p)
}

// say writes values, and what is wrapped in errors, in every way.
func (c *catcher) say(values ...any) {
	for _, v := range values {
		fmt.Fprintf(c, "%v\n%+v\n%#v\n%s\n%q\n", v, v, v, v, v)
		text, err := json.Marshal(v)
		fmt.Fprintf(c, "%s %v\n", text, err)
		switch e := v.(type) {
		case interface{ Unwrap() error }:
			c.say(e.Unwrap())
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				c.say(err)
			}
		}
	}
}

// No secret appears in what is logged or returned.
func checkNoSecret(t *testing.T, b *bench) {
	var c catcher
	log := slog.New(slog.NewTextHandler(&c, &slog.HandlerOptions{Level: slog.LevelDebug - 10}))
	b.SetPassword(b.user, canary)
	b.store.Set(source.Credential{Username: b.user, Password: source.NewSecret(canary)})
	r, err := refresh.New(t.Context(), b.store, &refresh.Options{Logger: log})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	opts := &pool.Options{Logger: log, LoginTimeout: 100 * time.Millisecond}
	db, err := pool.OpenDB(t.Context(), b.Dialer, r, opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() }) // nothing depends on it
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Raw(func(raw any) error {
		c.say(raw)
		return nil
	}))
	if p, ok := b.Dialer.(pool.Prober); ok {
		c.say(probe(t, p, conn))
	}
	require.NoError(t, conn.Close())
	if p, ok := b.Dialer.(pool.RightsComparer); ok {
		weak := b.User("weak")
		b.CreateUser(weak, canary+" weak")
		b.Revoke(weak)
		lost, err := p.LostRights(t.Context(), r.Current(), snapshot(weak, canary+" weak"))
		c.say(lost, err)
		lost, err = p.LostRights(t.Context(), r.Current(), snapshot(weak, canary+" wrong"))
		c.say(lost, err)
	}
	b.SetPassword(b.user, "changed")
	db.SetMaxIdleConns(-1)
	for range 3 {
		c.say(db.PingContext(within(t, 200*time.Millisecond)))
	}
	_, err = pool.OpenDB(t.Context(), b.Dialer, r, opts)
	require.Error(t, err)
	c.say(err, b.verify(b.user, canary), b.verify(b.user, canary+" wrong"))
	p := newProxy(t, b.Address)
	require.NoError(t, p.listener.Close())
	c.say(b.At(p.address()).Verify(t.Context(), r.Current(), opts))
	c.say(db.Health(), b.Dialer, r.Current(), db.Driver())
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Contains(t, c.buf.String(), "rekey: login rejected")
	for line := range strings.Lines(c.buf.String()) {
		if at := strings.Index(line, canary); at >= 0 {
			t.Errorf("a secret appears after %q", line[max(0, at-100):at])
		}
	}
}

// Close leaves neither sessions nor goroutines.
func checkNothingLeft(t *testing.T, b *bench) {
	b.Sessions(b.user) // has the administrator connect
	before := runtime.NumGoroutine()
	for range 3 {
		r, err := refresh.New(t.Context(), b.store, &refresh.Options{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		db, err := pool.OpenDB(t.Context(), b.Dialer, r, &pool.Options{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		fill(t, db, 3)
		b.newPassword()
		held, err := db.Conn(t.Context())
		require.NoError(t, err)
		rows, err := held.QueryContext(t.Context(), b.SQL.User)
		require.NoError(t, err)
		require.NoError(t, rows.Close())
		require.NoError(t, held.Close())
		require.NoError(t, db.Shutdown(within(t, patience)))
		require.Zero(t, sockets(db))
		r.Close()
	}
	eventually(t, func() bool { return b.Sessions(b.user) == 0 }, "sessions are left")
	gone := func() bool { return runtime.NumGoroutine() <= before }
	for end := time.Now().Add(patience); !gone() && time.Now().Before(end); {
		runtime.GC() // takes a moment
	}
	if !gone() {
		require.NoError(t, pprof.Lookup("goroutine").WriteTo(t.Output(), 1))
		require.FailNow(t, "goroutines are left", "%d, there were %d", runtime.NumGoroutine(), before)
	}
}
