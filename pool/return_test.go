package pool_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

// takeBack has p return to its user from one that lacks rights.
func (b *bench) takeBack(p *pool.ManagedPool) (good, bad string) {
	b.t.Helper()
	before := p.Health()
	good = b.newPoorUser("select (id), insert on orders")
	bad = b.user
	eventually(b.t, func() bool { return p.Health().Generation > before.Generation }, "adopted")
	eventually(b.t, func() bool {
		_, err := p.Exec(b.t.Context(), "select qty from orders")
		require.True(b.t, err == nil || denied(err), err)
		return p.Health().TakenBack > before.TakenBack
	}, "taken back")
	require.Equal(b.t, good, p.Health().Username)
	return good, bad
}

// Once the user that was returned to is gone, there is nothing to compare a
// candidate with, and anything is better than nothing.
func TestAfterATakeBackAnythingIsBetterThanAUserWhoIsGone(t *testing.T) {
	b := newBench(t)
	p := b.open(2, nil)
	fill(t, p, 2)
	good, _ := b.takeBack(p)
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
	l.Denied(errors.New("table b"))
	eventually(t, func() bool { return c.comparisons() == 2 }, "at the next one, too, and no more often")
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
