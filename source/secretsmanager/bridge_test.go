package secretsmanager_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source/secretsmanager"
)

// A bench is a database beside the emulator, whose secret holds its user.
type bench struct {
	*lab
	db *pgtest.DB
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{newLab(t), pgtest.Database(t)}
	for _, user := range []string{"app", "clone"} {
		b.db.CreateUser(b.db.Role(user), "first")
	}
	b.put(b.login("app", "first"))
	b.sent()
	return b
}

func (b *bench) login(user, password string) string { return login(b.db.Role(user), password) }

func (b *bench) open(conns int, o *secretsmanager.Options) *pool.ManagedPool {
	b.t.Helper()
	p, err := pool.Open(b.t.Context(), fmt.Sprintf("%s&pool_max_conns=%d", b.db.DSN, conns), b.source(o),
		&pool.Options{Refresh: &refresh.Options{Logger: logger(b.t)}, Logger: logger(b.t)})
	require.NoError(b.t, err)
	b.t.Cleanup(p.Close)
	return p
}

// set is the rotation's second step.
func (b *bench) set(user, password string) { b.db.SetPassword(b.db.Role(user), password) }

func query(ctx context.Context, p *pool.ManagedPool) error {
	var one int
	return p.QueryRow(ctx, "select 1").Scan(&one)
}

func TestF12TheBridgeServesUntilAWSCURRENTCatchesUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.open(4, &secretsmanager.Options{Bridge: true})
	l := load.Start(t.Context(), 4, func(ctx context.Context) error { return query(ctx, p) })
	for n := range 3 {
		password := fmt.Sprint("rotated-", n)
		version := b.put(b.login("app", password), "AWSPENDING")
		b.set("app", password)
		p.Reset() // everybody logs in anew, in the middle of the gap
		eventually(t, func() bool { return p.Refresher().Current().Version == version }, "AWSPENDING serves")
		generation := p.Refresher().Current().Generation
		b.promote(version)
		require.NoError(t, p.Refresher().Refresh(t.Context()))
		require.Equal(t, generation, p.Refresher().Current().Generation, "the same version, now as AWSCURRENT")
		require.Equal(t, refresh.Fresh, p.Health().State)
	}
	r := l.Stop()
	require.NoError(t, r.Err)
	require.Zero(t, r.Failed)
}

func TestF12ThePreviousVersionServesAfterARollback(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put(b.login("app", "never set in the database"))
	b.put(`not JSON`, "AWSPENDING")
	p := b.open(2, &secretsmanager.Options{Bridge: true})
	require.NoError(t, query(t.Context(), p), "already at the start")
	require.Equal(t, "first", p.Refresher().Current().Password.Reveal())
}

func TestF12WithoutTheBridgeLoginsComeBackWithAWSCURRENT(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.open(2, nil)
	require.NoError(t, query(t.Context(), p))
	version := b.put(b.login("app", "second"), "AWSPENDING")
	b.set("app", "second")
	require.NoError(t, query(t.Context(), p), "pooled connections do not notice")
	p.Reset()
	done := make(chan error, 1)
	go func() { done <- query(t.Context(), p) }()
	eventually(t, func() bool { return p.Health().LoginsRejected >= 2 }, "refused")
	require.Equal(t, uint64(1), p.Refresher().Current().Generation)
	b.promote(version)
	promoted := time.Now()
	require.NoError(t, <-done)
	t.Logf("recovered %v after AWSCURRENT had moved", time.Since(promoted))
	require.Equal(t, version, p.Refresher().Current().Version)
	require.LessOrEqual(t, p.Health().LoginsRejected, uint64(5), "the same password is not sent again and again")
}

func TestAlternatingUsers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.open(4, nil)
	l := load.Start(t.Context(), 4, func(ctx context.Context) error { return query(ctx, p) })
	for n := range 4 {
		user := []string{"clone", "app"}[n%2]
		version := b.put(b.login(user, fmt.Sprint("rotated-", n)), "AWSPENDING")
		b.set(user, fmt.Sprint("rotated-", n))
		p.Reset()
		b.promote(version)
		if n%2 == 0 {
			continue // nobody looks: the user from before works until the next but one
		}
		p.Reset()
		eventually(t, func() bool { return p.Refresher().Current().Version == version }, "found by a rejected login")
	}
	r := l.Stop()
	require.NoError(t, r.Err)
	require.Zero(t, r.Failed)
}

func TestF13AlternatingUsersThatAreLockedInTurn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.open(2, nil)
	b.put(b.login("clone", "first"))
	b.db.NoLogin(b.db.Role("app")) // rejected with 28000, as by RDS Proxy
	p.Reset()
	require.NoError(t, query(t.Context(), p))
	require.Equal(t, b.db.Role("clone"), p.Refresher().Current().Username)
}

func TestF16AHundredDialsOnAStaleSecret(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*bench) (query func(context.Context) error, reset func()){
		"ManagedPool": func(b *bench) (func(context.Context) error, func()) {
			p := b.open(100, nil)
			return func(ctx context.Context) error { return query(ctx, p) }, p.Reset
		},
		"ManagedDB": func(b *bench) (func(context.Context) error, func()) {
			config, err := pgx.ParseConfig(b.db.DSN)
			require.NoError(b.t, err)
			r, err := refresh.New(b.t.Context(), b.source(nil), &refresh.Options{Logger: logger(b.t)})
			require.NoError(b.t, err)
			b.t.Cleanup(r.Close)
			db, err := pool.OpenDB(b.t.Context(), pool.Postgres(config), r, &pool.Options{Logger: logger(b.t)})
			require.NoError(b.t, err)
			b.t.Cleanup(func() { _ = db.Close() })
			db.SetMaxIdleConns(100)
			query := func(ctx context.Context) error {
				var one int
				return db.QueryRowContext(ctx, "select 1").Scan(&one)
			}
			return query,
				func() { db.SetMaxIdleConns(-1); db.SetMaxIdleConns(100) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			query, reset := open(b)
			b.put(b.login("app", "second"))
			b.set("app", "second")
			b.sent()
			reset()
			var callers sync.WaitGroup
			for range 100 {
				callers.Go(func() {
					if err := query(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			callers.Wait()
			require.Equal(t, []string{"GetSecretValue"}, b.sent())
		})
	}
}
