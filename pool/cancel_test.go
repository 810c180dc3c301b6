package pool_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
)

func TestF27CanceledContextEndsEveryWait(t *testing.T) {
	b := newBench(t)
	p := b.open(1, nil)
	db := b.openDB(pool.Postgres(b.connConfig()))
	db.SetMaxIdleConns(0)
	held, err := p.Acquire(t.Context())
	require.NoError(t, err)
	other := b.open(1, nil)
	b.changePassword() // from here on logins wait for the store
	version := p.Refresher().Current().Version

	for name, wait := range map[string]func(ctx context.Context) error{
		"Acquire, all lent":      func(ctx context.Context) error { _, err := p.Acquire(ctx); return err },
		"Exec, all lent":         func(ctx context.Context) error { _, err := p.Exec(ctx, "select 1"); return err },
		"QueryRow, rejected":     func(ctx context.Context) error { return selectOne(ctx, other) },
		"raw Query, rejected":    func(ctx context.Context) error { return selectOne(ctx, other.Pool) },
		"Begin, rejected":        func(ctx context.Context) error { _, err := other.Begin(ctx); return err },
		"Ping, rejected":         func(ctx context.Context) error { return other.Ping(ctx) },
		"Ping of a DB, rejected": func(ctx context.Context) error { return db.PingContext(ctx) },
		"Conn of a DB, rejected": func(ctx context.Context) error { _, err := db.Conn(ctx); return err },
		"Drained":                func(ctx context.Context) error { return p.Drained(ctx, version) },
		"Drained of a DB":        func(ctx context.Context) error { return db.Drained(ctx, version) },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		begun := time.Now()
		time.AfterFunc(30*time.Millisecond, cancel)
		go func() { result <- wait(ctx) }()
		select {
		case err := <-result:
			require.ErrorIs(t, err, context.Canceled, name)
			// The bound is generous because the machine may be busy; what it
			// tells apart are the waits that only a time-out ends.
			require.Less(t, time.Since(begun), 10*time.Second, name)
		case <-time.After(patience):
			require.FailNow(t, "still waiting: "+name)
		}
		cancel()
	}
	b.publish()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err = p.Shutdown(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "1 connections are still lent")
	held.Release()
	require.NoError(t, p.Shutdown(within(t, patience)), "the second try sees it through")
}

func TestF30DialOfACanceledCallerServesTheNext(t *testing.T) {
	b := newBench(t)
	config := b.config(1)
	g := newGate(config)
	p := b.openConfig(config, nil)
	ctx, cancel := context.WithCancel(t.Context())
	g.shut.Store(true)
	result := make(chan error, 1)
	go func() { result <- selectOne(ctx, p) }()
	wait(t, g.reached, "the dial begins")
	cancel()
	require.ErrorIs(t, wait(t, result, "the caller leaves"), context.Canceled)
	close(g.open)
	require.NoError(t, selectOne(t.Context(), p))
	require.EqualValues(t, 1, p.Health().Logins)
	require.Equal(t, 1, sockets(p))
}

// The login of a caller that has left is rejected, and that is noticed.
func TestF30RejectionIsSeenWithoutTheCaller(t *testing.T) {
	b := newBench(t)
	config := b.config(1)
	g := newGate(config)
	p := b.openConfig(config, nil)
	b.changePassword()
	b.follow() // without a word
	ctx, cancel := context.WithCancel(t.Context())
	g.shut.Store(true)
	result := make(chan error, 1)
	go func() { result <- selectOne(ctx, p) }()
	wait(t, g.reached, "the dial begins")
	cancel()
	require.Error(t, wait(t, result, "the caller leaves"))
	close(g.open)
	eventually(t, func() bool { return p.Health().Generation == 2 }, "the rejection has the source asked")
}

func TestF30RejectionIsSeenWithoutTheCallerOfADB(t *testing.T) {
	b := newBench(t)
	cc := b.connConfig()
	g := newGate(&pgxpool.Config{ConnConfig: cc})
	db := b.openDB(pool.Postgres(cc))
	b.changePassword()
	b.follow()
	ctx, cancel := context.WithCancel(t.Context())
	g.shut.Store(true)
	result := make(chan error, 1)
	go func() { result <- db.PingContext(ctx) }()
	wait(t, g.reached, "the dial begins")
	cancel()
	require.Error(t, wait(t, result, "the caller leaves"))
	close(g.open)
	eventually(t, func() bool { return db.Health().Generation == 2 }, "the rejection has the source asked")
	eventually(t, func() bool { return sockets(db) == 0 }, "nobody wanted the connection")
	require.NoError(t, db.PingContext(t.Context()))
}
