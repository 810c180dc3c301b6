package pool_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

// takeBack has p return to its user from one that lacks rights.
func (b *bench) takeBack(p *pool.ManagedPool) (good string) {
	b.t.Helper()
	before := p.Health()
	good = b.newPoorUser("select (id), insert on orders")
	eventually(b.t, func() bool { return p.Health().Generation > before.Generation }, "adopted")
	eventually(b.t, func() bool {
		_, err := p.Exec(b.t.Context(), "select qty from orders")
		require.True(b.t, err == nil || denied(err), err)
		return p.Health().TakenBack > before.TakenBack
	}, "taken back")
	require.Equal(b.t, good, p.Health().Username)
	return good
}

// Once the user that was returned to is gone, there is nothing to compare a
// candidate with, and anything is better than nothing.
func TestAfterATakeBackAnythingIsBetterThanAUserWhoIsGone(t *testing.T) {
	b := newBench(t)
	p := b.open(2, nil)
	fill(t, p, 2)
	good := b.takeBack(p)
	calm(t, p)
	b.n++
	b.user = b.Role("next")
	b.CreateUser(b.user, b.password())
	b.DropUser(good)
	p.Reset()
	b.publish()
	eventually(t, func() bool { return p.Health().Username == b.user }, "adopted")
	require.NoError(t, selectOne(within(t, patience), p))
	calm(t, p)
}

// Those of the user that lacks rights must not serve until their turn comes.
func TestConnectionsOfAUserThatWasTakenBackAreNotLent(t *testing.T) {
	b := newBench(t)
	const conns = 12
	p := b.open(conns, &pool.Options{Pace: 1})
	fill(t, p, conns)
	b.newPoorUser("select (id) on orders")
	eventually(t, func() bool { return p.Health().Connections[2] >= conns/2 }, "half of them are exchanged")
	var lent []*pgxpool.Conn
	for range conns - 1 {
		c, err := p.Acquire(t.Context())
		require.NoError(t, err)
		lent = append(lent, c)
	}
	for _, c := range lent {
		_, _ = c.Exec(t.Context(), "select qty from orders") // some may not
	}
	eventually(t, func() bool { return p.Health().TakenBack == 1 }, "taken back")
	for _, c := range lent {
		c.Release()
	}
	lent = lent[:0]
	for range conns {
		c, err := p.Acquire(t.Context())
		require.NoError(t, err)
		lent = append(lent, c)
	}
	failed := 0
	for _, c := range lent {
		if _, err := c.Exec(t.Context(), "select qty from orders"); err != nil {
			failed++
		}
		c.Release()
	}
	require.Zero(t, failed)
	calm(t, p)
}

// The others follow, and nobody who has all rights notices.
func TestTakeBackWithASharedRefresher(t *testing.T) {
	b := newBench(t)
	b.store.TTL(time.Hour)
	r := b.refresher(nil)
	p := b.share(b.config(4), r, nil)
	q := b.share(b.config(4), r, nil)
	db, err := pool.OpenDB(t.Context(), pool.Postgres(b.connConfig()), r, &pool.Options{Logger: logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	fill(t, p, 4)
	fill(t, q, 4)
	lq := load.Start(t.Context(), 3, func(ctx context.Context) error { return selectOne(ctx, q) })
	ld := load.Start(t.Context(), 3, func(ctx context.Context) error { return db.PingContext(ctx) })
	for range 2 {
		good := b.takeBack(p)
		calm(t, p)
		calm(t, q)
		calm(t, db)
		require.Equal(t, good, q.Health().Username)
		b.user = good
		b.n++
		b.newUser()
		eventually(t, func() bool { return p.Health().Username == b.user }, "adopted")
		calm(t, p)
		calm(t, q)
		calm(t, db)
		require.LessOrEqual(t, p.Health().LiveLeases, 2)
	}
	require.NoError(t, lq.Stop().Err)
	require.NoError(t, ld.Stop().Err)
	require.Equal(t, refresh.Fresh, p.Health().State)
}

// A comparer is the dialer for PostgreSQL with another way to compare rights.
type comparer struct {
	*pool.PostgresDialer
	lost func() ([]string, error)

	mu     sync.Mutex
	asked  int
	logins []*pool.Login
}

func (c *comparer) Dial(ctx context.Context, l *pool.Login) (driver.Conn, error) {
	c.mu.Lock()
	c.logins = append(c.logins, l)
	c.mu.Unlock()
	return c.PostgresDialer.Dial(ctx, l)
}

func (c *comparer) LostRights(context.Context, refresh.Snapshot, refresh.Snapshot) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	return c.lost()
}

func (c *comparer) comparisons() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// login returns the last login.
func (c *comparer) login() *pool.Login {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.logins[len(c.logins)-1]
}

// canaryDB opens a DB with dialer, has one user after another, and returns a
// login of each.
func (b *bench) canaryDB(c *comparer) (db *pool.ManagedDB, old, current *pool.Login) {
	b.t.Helper()
	c.PostgresDialer = pool.Postgres(b.connConfig())
	db = b.openDB(c)
	require.NoError(b.t, db.PingContext(b.t.Context()))
	old = c.login()
	version := db.Refresher().Current().Version
	b.newUser()
	require.NoError(b.t, db.Drained(within(b.t, patience), version))
	require.NoError(b.t, db.PingContext(b.t.Context()))
	return db, old, c.login()
}

func TestRightsThatCannotBeComparedAreNotComparedAllTheTime(t *testing.T) {
	b := newBench(t)
	c := &comparer{lost: func() ([]string, error) { return nil, errors.New("the server is busy") }}
	_, _, l := b.canaryDB(c)
	l.Denied(errors.New("table a"))
	eventually(t, func() bool { return c.comparisons() >= 3 }, "again and again")
	first := c.comparisons()
	began := time.Now()
	eventually(t, func() bool { return time.Since(began) > 2*time.Second }, "a while")
	require.LessOrEqual(t, c.comparisons()-first, 2, "with growing pauses")
}

// Drivers that know nothing of this package's errors return their own.
func TestRightsAreNotComparedAgainWhereALoginIsRejected(t *testing.T) {
	b := newBench(t)
	c := &comparer{lost: func() ([]string, error) { return nil, &pgconn.PgError{Code: "28P01"} }}
	db, _, l := b.canaryDB(c)
	l.Denied(errors.New("table a"))
	eventually(t, func() bool { return c.comparisons() == 1 }, "compared")
	eventually(t, func() bool {
		if c.comparisons() == 1 {
			l.Denied(errors.New("table b")) // not heard while the first is being compared
		}
		return c.comparisons() == 2
	}, "at the next one, too, and no more often")
	calm(t, db)
	require.Equal(t, 2, c.comparisons())
}

// MySQL names the user in what it says.
func TestARightThatTheOldUserDidNotHaveIsKnownByAnyName(t *testing.T) {
	b := newBench(t)
	c := &comparer{lost: func() ([]string, error) { return nil, nil }}
	_, old, l := b.canaryDB(c)
	text := func(l *pool.Login, table string) error {
		return errors.New("SELECT denied to user '" + l.Credential().Username + "'@'localhost' for table " + table)
	}
	old.Denied(text(old, "a"))
	l.Denied(text(l, "a"))
	began := time.Now()
	eventually(t, func() bool { return time.Since(began) > 200*time.Millisecond }, "time to compare")
	require.Zero(t, c.comparisons())
	l.Denied(text(l, "b"))
	eventually(t, func() bool { return c.comparisons() == 1 }, "compared")
}
