package pool_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

// fillDB makes n connections and leaves them idle.
func fillDB(t testing.TB, db *pool.ManagedDB, n int) {
	t.Helper()
	var conns []*sql.Conn
	for range n {
		c, err := db.Conn(t.Context())
		require.NoError(t, err)
		conns = append(conns, c)
	}
	for _, c := range conns {
		require.NoError(t, c.Close())
	}
	require.Equal(t, n, db.Stats().Idle)
}

func TestStormThroughDatabaseSQLFailsNoStatement(t *testing.T) {
	b := newBench(t)
	db := b.openDB(pool.Postgres(b.connConfig()))
	const conns = 4
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	var most atomic.Int64
	l := load.Start(t.Context(), 6, func(ctx context.Context) error {
		most.Store(max(most.Load(), int64(db.Stats().OpenConnections)))
		var n int
		return db.QueryRowContext(ctx, "select qty from orders where id = -1 union all select 1").Scan(&n)
	})
	for i := range 12 {
		version := db.Refresher().Current().Version
		if i%2 == 0 {
			b.newPassword()
			require.NoError(t, db.Drained(within(t, patience), version))
			continue
		}
		old := b.newUser()
		require.NoError(t, db.Drained(within(t, patience), version))
		b.DropUser(old)
	}
	r := l.Stop()
	t.Logf("%+v %+v", r, db.Health())
	require.NoError(t, r.Err)
	require.LessOrEqual(t, most.Load(), int64(conns))
	calm(t, db)
}

func TestDatabaseSQLIsUnchanged(t *testing.T) {
	b := newBench(t)
	db := b.openDB(pool.Postgres(b.connConfig()))
	require.IsType(t, stdlib.GetDefaultDriver(), db.Driver())

	rows, err := db.QueryContext(t.Context(), "select generate_series(1, $1::int)", 3)
	require.NoError(t, err)
	n := 0
	for rows.Next() {
		n++
	}
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())
	require.Equal(t, 3, n)

	statement, err := db.PrepareContext(t.Context(), "select $1::int + 1")
	require.NoError(t, err)
	defer func() { require.NoError(t, statement.Close()) }()
	tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable})
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), "insert into orders(item, qty) values ('tx', 1)")
	require.NoError(t, err)

	// Both live through a rotation.
	version := db.Refresher().Current().Version
	b.newUser()
	eventually(t, func() bool { return db.Health().Generation == 2 }, "adopted")
	require.NoError(t, tx.Commit())
	require.NoError(t, db.Drained(within(t, patience), version))
	require.NoError(t, statement.QueryRowContext(t.Context(), 4).Scan(&n))
	require.Equal(t, 5, n)

	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Raw(func(c any) error {
		std, ok := c.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("got a %T", c)
		}
		require.Empty(t, std.Conn().Config().Password)
		copied, err := std.Conn().CopyFrom(t.Context(), pgx.Identifier{"orders"}, []string{"qty"}, pgx.CopyFromRows([][]any{{1}, {2}}))
		require.EqualValues(t, 2, copied)
		return err
	}))
	require.NoError(t, conn.Close())
	calm(t, db)
}

func TestHooksOfThePostgresDialer(t *testing.T) {
	b := newBench(t)
	var r record
	d := pool.Postgres(b.connConfig())
	d.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
		r.add("BeforeConnect")
		cc.RuntimeParams["application_name"] = "by the hook"
		cc.User, cc.Password = "nobody", "nothing"
		return nil
	}
	d.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		r.add("AfterConnect")
		_, err := conn.Exec(context.WithoutCancel(t.Context()), "set search_path = public")
		return err
	}
	d.ResetSession = func(context.Context, *pgx.Conn) error { r.add("ResetSession"); return nil }
	d.ShouldPing = func(context.Context, stdlib.ShouldPingParams) bool { r.add("ShouldPing"); return true }
	db := b.openDB(d)
	require.Equal(t, []string{"BeforeConnect", "AfterConnect"}, r.all(), "the verification")
	r.reset()
	var application, user string
	for range 2 {
		require.NoError(t, db.QueryRowContext(t.Context(), "select current_setting('application_name'), session_user").Scan(&application, &user))
	}
	require.Equal(t, "by the hook", application)
	require.Equal(t, b.user, user)
	require.Equal(t, []string{"BeforeConnect", "AfterConnect", "ShouldPing", "ResetSession"}, r.all())

	// An exchange is not a use.
	r.reset()
	version := db.Refresher().Current().Version
	b.newPassword()
	require.NoError(t, db.Drained(within(t, patience), version))
	calm(t, db)
	require.Equal(t, 1, db.Stats().Idle)
	require.Zero(t, r.count("ResetSession")+r.count("ShouldPing"))
	require.Equal(t, 2, r.count("AfterConnect"), "one verification, one connection")
}

func TestFailureOfADialersHookLeaksNoSession(t *testing.T) {
	b := newBench(t)
	oops := errors.New("the hook failed")
	var on atomic.Bool
	fail := func() error {
		if on.Load() {
			return oops
		}
		return nil
	}
	for name, set := range map[string]func(*pool.PostgresDialer){
		"BeforeConnect": func(d *pool.PostgresDialer) {
			d.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { return fail() }
		},
		"AfterConnect": func(d *pool.PostgresDialer) {
			d.AfterConnect = func(context.Context, *pgx.Conn) error { return fail() }
		},
		"DialFunc": func(d *pool.PostgresDialer) {
			d.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
				dial := cc.DialFunc
				cc.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
					if err := fail(); err != nil {
						return nil, err
					}
					return dial(ctx, network, address)
				}
				return nil
			}
		},
		"ValidateConnect": func(d *pool.PostgresDialer) {
			d.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
				cc.ValidateConnect = func(context.Context, *pgconn.PgConn) error { return fail() }
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			on.Store(false)
			d := pool.Postgres(b.connConfig())
			set(d)
			db := b.openDB(d)
			on.Store(true)
			for range 3 {
				require.ErrorIs(t, db.PingContext(t.Context()), oops)
			}
			require.Zero(t, sockets(db))
			eventually(t, func() bool { return b.Sessions(b.user) == 0 }, "the server has none either")
			on.Store(false)
			require.NoError(t, db.PingContext(t.Context()))
			require.NoError(t, db.Close())
		})
	}
}

func TestLimitsOfTheDBHoldDuringExchanges(t *testing.T) {
	b := newBench(t)
	db := b.openDB(pool.Postgres(b.connConfig()))
	const conns = 6
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	for range 4 {
		fillDB(t, db, conns)
		h := db.Health()
		b.newPassword()
		for db.Health().Generation == h.Generation || db.Attention() {
			require.LessOrEqual(t, db.Stats().OpenConnections, conns)
			runtime.Gosched()
		}
		calm(t, db)
		require.GreaterOrEqual(t, db.Stats().Idle, conns/2, "they were replaced, not only closed")
		require.NoError(t, db.PingContext(t.Context()))
	}
	require.Zero(t, db.Stats().MaxIdleClosed)

	db.SetConnMaxLifetime(time.Nanosecond)
	before := db.Health().Logins
	eventually(t, func() bool {
		require.NoError(t, db.PingContext(t.Context()))
		return db.Health().Logins > before+2
	}, "the DB's own limit applies")
}

func TestMultiHostDB(t *testing.T) {
	b := newBench(t)
	forbidding := newFakeServer(t, "28000")
	for _, hosts := range [][]string{
		{"127.0.0.1:1", b.address()},
		{"127.0.0.1:" + forbidding.port(), b.address()},
	} {
		db := b.openDB(pool.Postgres(b.at("disable", hosts...).ConnConfig))
		require.NoError(t, db.PingContext(t.Context()))
		db.SetMaxIdleConns(0)
		b.changePassword()
		b.follow()
		require.NoError(t, db.PingContext(t.Context()))
		eventually(t, func() bool { return sockets(db) == 0 }, "nothing is left")
	}
}

func TestClosingADBWhileItDials(t *testing.T) {
	b := newBench(t)
	for range 5 {
		db := b.openDB(pool.Postgres(b.connConfig()))
		db.SetMaxIdleConns(0)
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for {
					if err := db.PingContext(t.Context()); err != nil {
						return
					}
				}
			})
		}
		eventually(t, func() bool { return db.Health().Logins > 3 }, "they are at it")
		require.NoError(t, db.Close())
		clients.Wait()
		require.NoError(t, db.Close(), "twice is harmless")
		require.Zero(t, sockets(db))
		require.Equal(t, refresh.Closed, db.Health().State)
		require.Error(t, db.PingContext(t.Context()))
	}
}

func TestShutdownOfADBWaitsForLentConnections(t *testing.T) {
	b := newBench(t)
	db := b.openDB(pool.Postgres(b.connConfig()))
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err = db.Shutdown(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "1 connections are still lent")
	require.NoError(t, conn.Close())
	require.NoError(t, db.Shutdown(within(t, patience)))
}
