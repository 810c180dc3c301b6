package pool_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/source"
)

// countingConn counts what is written through it.
type countingConn struct {
	net.Conn
	written *atomic.Int64
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.written.Add(int64(len(p)))
	return c.Conn.Write(p)
}

func TestAfterNetConnectMayWrapTheConnection(t *testing.T) {
	b := newBench(t)
	for _, sslmode := range []string{"disable", "require"} {
		t.Run(sslmode, func(t *testing.T) {
			config := b.config(2, "sslmode="+sslmode)
			var written atomic.Int64
			var seen atomic.Pointer[net.Conn]
			config.ConnConfig.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) {
				seen.Store(&conn)
				return &countingConn{conn, &written}, nil
			}
			p := b.openConfig(config, nil)
			before := written.Load()
			fill(t, p, 2)
			require.Greater(t, written.Load(), before)
			if sslmode == "disable" {
				require.IsType(t, &net.TCPConn{}, *seen.Load(), "as it was dialed")
			}
			version := p.Refresher().Current().Version
			b.newPassword()
			require.NoError(t, p.Drained(within(t, patience), version))
			calm(t, p)
		})
	}
}

func TestFailureOfAnyHookLeaksNoLogin(t *testing.T) {
	b := newBench(t)
	oops := errors.New("the hook failed")
	var on atomic.Bool
	fail := func() error {
		if on.Load() {
			return oops
		}
		return nil
	}
	cases := map[string]func(*pgxpool.Config){
		"BeforeConnect": func(c *pgxpool.Config) {
			c.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { return fail() }
		},
		"LookupFunc": func(c *pgxpool.Config) {
			lookup := c.ConnConfig.LookupFunc
			c.ConnConfig.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
				if err := fail(); err != nil {
					return nil, err
				}
				return lookup(ctx, host)
			}
		},
		"DialFunc": func(c *pgxpool.Config) {
			dial := c.ConnConfig.DialFunc
			c.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
				if err := fail(); err != nil {
					return nil, err
				}
				return dial(ctx, network, address)
			}
		},
		"AfterNetConnect without a connection": func(c *pgxpool.Config) {
			c.ConnConfig.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) {
				if err := fail(); err != nil {
					return nil, err
				}
				return conn, nil
			}
		},
		"AfterNetConnect with the connection": func(c *pgxpool.Config) {
			c.ConnConfig.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) {
				return conn, fail()
			}
		},
		"ValidateConnect": func(c *pgxpool.Config) {
			c.ConnConfig.ValidateConnect = func(context.Context, *pgconn.PgConn) error { return fail() }
		},
		"pgconn's AfterConnect": func(c *pgxpool.Config) {
			c.ConnConfig.AfterConnect = func(context.Context, *pgconn.PgConn) error { return fail() }
		},
		"AfterConnect": func(c *pgxpool.Config) {
			c.AfterConnect = func(context.Context, *pgx.Conn) error { return fail() }
		},
	}
	for name, hook := range cases {
		for _, sslmode := range []string{"disable", "verify-full"} {
			if sslmode == "disable" && !strings.HasPrefix(name, "AfterNetConnect") {
				continue // it makes no difference
			}
			t.Run(name+" "+sslmode, func(t *testing.T) {
				on.Store(false)
				config := b.config(2, "sslmode="+sslmode)
				hook(config)
				p := b.openConfig(config, nil)
				on.Store(true)
				for range 3 {
					require.ErrorIs(t, selectOne(t.Context(), p), oops)
				}
				eventually(t, func() bool { return sockets(p) == 0 }, "every login has ended")
				on.Store(false)
				require.NoError(t, selectOne(t.Context(), p))
				require.Zero(t, p.Health().LoginsRejected)
				// A hold that was lost would keep the old version in use.
				version := p.Refresher().Current().Version
				b.newPassword()
				require.NoError(t, p.Drained(within(t, patience), version))
				calm(t, p)
			})
		}
	}
}

func TestOnPgErrorSeesRejectionsAsTheyAreAndMayCloseConnections(t *testing.T) {
	b := newBench(t)
	config := b.config(1)
	var r record
	config.ConnConfig.OnPgError = func(_ *pgconn.PgConn, e *pgconn.PgError) bool {
		r.add(e.Code)
		return e.Code != "22012"
	}
	p := b.openConfig(config, nil)
	_, err := p.Exec(t.Context(), "select 1/0")
	require.Error(t, err)
	eventually(t, func() bool { return sockets(p) == 0 }, "the hook has the connection closed")

	b.changePassword()
	b.follow()
	require.NoError(t, selectOne(t.Context(), p.Pool))
	require.Equal(t, []string{"22012", "28P01"}, r.all())
}

func TestSourceWinsOverHooksThatSetUserAndPassword(t *testing.T) {
	b := newBench(t)
	config := b.config(2)
	config.ConnConfig.User, config.ConnConfig.Password = "nobody", "nothing"
	config.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
		cc.User, cc.Password = "somebody else", "their password"
		cc.RuntimeParams["application_name"] = "named by the hook"
		return nil
	}
	p := b.openConfig(config, nil)
	var user, application string
	require.NoError(t, p.QueryRow(t.Context(), "select session_user, current_setting('application_name')").Scan(&user, &application))
	require.Equal(t, b.user, user)
	require.Equal(t, "named by the hook", application)
}

func TestUserOfTheConfigurationServesWhereTheSourceHasNone(t *testing.T) {
	b := newBench(t)
	b.store.Set(source.Credential{Password: source.NewSecret(b.password())})
	config := b.config(2)
	config.ConnConfig.User = b.user
	p := b.openConfig(config, nil)
	require.NoError(t, selectOne(t.Context(), p))

	config.ConnConfig.User = "nobody"
	config.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
		cc.User = b.user
		return nil
	}
	p = b.openConfig(config, nil)
	require.NoError(t, selectOne(t.Context(), p))

	dialer := pool.Postgres(b.connConfig())
	dialer.BeforeConnect = config.BeforeConnect
	db := b.openDB(dialer)
	require.NoError(t, db.PingContext(t.Context()))
}

func TestAnOpenConnectionsConfigurationLogsInAgain(t *testing.T) {
	b := newBench(t)
	for _, sslmode := range []string{"disable", "prefer", "verify-full"} {
		p := b.openConfig(b.config(2, "sslmode="+sslmode), nil)
		c, err := p.Acquire(t.Context())
		require.NoError(t, err)
		defer c.Release()
		again := c.Conn().Config()
		require.Empty(t, again.Password)
		for range 2 { // also after a rotation
			conn, err := pgx.ConnectConfig(t.Context(), again)
			require.NoError(t, err)
			require.Empty(t, conn.Config().Password)
			require.NoError(t, conn.Close(t.Context()))
			generation := p.Health().Generation
			b.newPassword()
			eventually(t, func() bool { return p.Health().Generation > generation }, "adopted")
		}
		dial := again.DialFunc
		again.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return &countingConn{conn, new(atomic.Int64)}, err
		}
		conn, err := pgx.ConnectConfig(t.Context(), again)
		require.NoError(t, err)
		require.NoError(t, conn.Close(t.Context()))

		again.Port = 1 // nobody is there
		for _, f := range again.Fallbacks {
			f.Port = 1
		}
		again.DialFunc = dial
		_, err = pgx.ConnectConfig(t.Context(), again)
		require.ErrorContains(t, err, "connection refused")
		require.NotContains(t, err.Error(), "second login")
		require.Equal(t, 1, sockets(p), "those connections are not the pool's")
	}
}
