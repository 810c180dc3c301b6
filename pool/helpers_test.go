package pool_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// patience bounds the waits of these tests, which end long before on any
// machine that is not stuck.
const patience = 30 * time.Second

// eventually waits for a condition.
func eventually(t testing.TB, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, patience, 2*time.Millisecond, what)
}

// config is what a user has: no user and no password in it.
func (b *bench) config(maxConns int, extra ...string) *pgxpool.Config {
	b.t.Helper()
	dsn := strings.Join(append([]string{fmt.Sprintf("%s&pool_max_conns=%d", b.DSN, maxConns)}, extra...), "&")
	config, err := pgxpool.ParseConfig(dsn)
	require.NoError(b.t, err)
	return config
}

// connConfig is config for database/sql.
func (b *bench) connConfig() *pgx.ConnConfig {
	b.t.Helper()
	config, err := pgx.ParseConfig(b.DSN)
	require.NoError(b.t, err)
	return config
}

// openConfig makes a pool of config with a refresher of its own.
func (b *bench) openConfig(config *pgxpool.Config, opts *pool.Options) *pool.ManagedPool {
	b.t.Helper()
	return b.share(config, b.refresher(nil), opts)
}

// share makes a pool of config with r.
func (b *bench) share(config *pgxpool.Config, r *refresh.Refresher, opts *pool.Options) *pool.ManagedPool {
	b.t.Helper()
	var o pool.Options
	if opts != nil {
		o = *opts
	}
	o.Logger = logger(b.t)
	p, err := pool.New(b.t.Context(), config, r, &o)
	require.NoError(b.t, err)
	b.t.Cleanup(p.Close)
	return p
}

// openDB makes a DB with a refresher of its own.
func (b *bench) openDB(dialer pool.Dialer) *pool.ManagedDB {
	b.t.Helper()
	db, err := pool.OpenDB(b.t.Context(), dialer, b.refresher(nil), &pool.Options{Logger: logger(b.t)})
	require.NoError(b.t, err)
	b.t.Cleanup(func() { require.NoError(b.t, db.Close()) })
	return db
}

// changePassword changes the password in the database alone.
func (b *bench) changePassword() {
	b.n++
	b.SetPassword(b.user, b.password())
}

// follow has the store hold what the database has, without saying so.
func (b *bench) follow() {
	b.store.Set(source.Credential{Username: b.user, Password: source.NewSecret(b.password()), Version: fmt.Sprintf("v%d", b.n)})
}

// fill makes n connections and leaves them idle.
func fill(t testing.TB, p *pool.ManagedPool, n int) {
	t.Helper()
	lent := make([]*pgxpool.Conn, n)
	for i := range lent {
		c, err := p.Acquire(within(t, patience))
		require.NoError(t, err)
		lent[i] = c
	}
	for _, c := range lent {
		c.Release()
	}
	eventually(t, func() bool { return int(p.Stat().IdleConns()) == n }, "all are back")
}

// sockets counts the open sockets of a pool.
func sockets(r pool.Reporter) (n int) {
	for _, m := range r.Health().Connections {
		n += m
	}
	return n
}

// calm waits until a pool is through with its rollover: every socket is of the
// current generation and lending takes the fast way.
func calm(t testing.TB, r interface {
	pool.Reporter
	Attention() bool
},
) {
	t.Helper()
	eventually(t, func() bool {
		h := r.Health()
		return !r.Attention() && sockets(r) == h.Connections[h.Generation]
	}, "the rollover ends and lending is fast again")
}

// wait receives from a channel that is about to be ready.
func wait[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		require.FailNow(t, "not in time: "+what)
	}
	return v
}

// A record notes what happened, in order.
type record struct {
	mu     sync.Mutex
	events []string
}

func (r *record) add(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

func (r *record) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func (r *record) count(event string) (n int) {
	for _, e := range r.all() {
		if e == event {
			n++
		}
	}
	return n
}

func (r *record) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
}

// selectOne runs a statement that needs a connection and nothing else.
func selectOne(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) error {
	var n int
	return q.QueryRow(ctx, "select 1").Scan(&n)
}
