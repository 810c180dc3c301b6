package pool_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

// at is config for a list of hosts, "host:port" each, with sslmode.
func (b *bench) at(sslmode string, hosts ...string) *pgxpool.Config {
	b.t.Helper()
	dsn := fmt.Sprintf("postgres://%s/%s?sslmode=%s&sslrootcert=%s&pool_max_conns=2",
		strings.Join(hosts, ","), b.Name, sslmode, b.Server.CAFile())
	config, err := pgxpool.ParseConfig(dsn)
	require.NoError(b.t, err)
	return config
}

func (b *bench) address() string {
	host, port := b.Server.Addr()
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// withoutNotice has all connections lost and the credential replaced so that
// only a rejected login can tell.
func (b *bench) withoutNotice(p *pool.ManagedPool) {
	b.t.Helper()
	p.Reset()
	eventually(b.t, func() bool { return sockets(p) == 0 }, "all are closed")
	b.changePassword()
	b.follow()
}

func TestSecondLoginGoesToTheHostThatRejectedTheFirst(t *testing.T) {
	b := newBench(t)
	forbidding := newFakeServer(t, "28000")
	full := newFakeServer(t, "53300")
	const dead = "127.0.0.1:1"
	cases := map[string][]string{
		"alone":                     {b.address()},
		"behind a dead host":        {dead, b.address()},
		"before a dead host":        {b.address(), dead},
		"behind one that is full":   {"127.0.0.1:" + full.port(), b.address()},
		"behind one that forbids":   {"127.0.0.1:" + forbidding.port(), b.address()},
		"before one that forbids":   {b.address(), "127.0.0.1:" + forbidding.port()},
		"behind an unknown name":    {"unknown.invalid:5432", b.address()},
		"under a name of two hosts": {"two.test:" + strings.TrimPrefix(b.address(), "127.0.0.1:"), dead},
	}
	for name, hosts := range cases {
		for _, sslmode := range []string{"allow", "prefer"} {
			t.Run(name+" "+sslmode, func(t *testing.T) {
				config := b.at(sslmode, hosts...)
				config.ConnConfig.LookupFunc = func(_ context.Context, host string) ([]string, error) {
					switch host {
					case "two.test":
						return []string{dead, "127.0.0.1"}, nil
					case "127.0.0.1":
						return []string{host}, nil
					}
					return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
				}
				p := b.openConfig(config, nil)
				require.NoError(t, selectOne(t.Context(), p.Pool))
				require.Zero(t, p.Health().LoginsRejected, "a host that forbids says nothing while another accepts")
				b.withoutNotice(p)
				require.NoError(t, selectOne(t.Context(), p.Pool))
				require.NotZero(t, p.Health().LoginsRejected)
				calm(t, p)
			})
		}
	}
}

// A sniffer tells how each connection begins: in TLS or in the clear.
type sniffer struct {
	net.Conn
	begun bool
	note  func(startup bool)
}

func (s *sniffer) Write(p []byte) (int, error) {
	if !s.begun && len(p) >= 8 {
		s.begun = true
		const sslRequest = 80877103
		s.note(binary.BigEndian.Uint32(p[4:8]) != sslRequest)
	}
	return s.Conn.Write(p)
}

func TestSecondLoginIsNeverInTheClearAfterTLS(t *testing.T) {
	b := newBench(t)
	for _, sslmode := range []string{"prefer", "require", "verify-ca", "verify-full"} {
		t.Run(sslmode, func(t *testing.T) {
			config := b.at(sslmode, b.address())
			var plain, all atomic.Int64
			dial := config.ConnConfig.DialFunc
			config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dial(ctx, network, address)
				if err != nil {
					return nil, err
				}
				return &sniffer{Conn: conn, note: func(startup bool) {
					all.Add(1)
					if startup {
						plain.Add(1)
					}
				}}, nil
			}
			p := b.openConfig(config, nil)
			b.withoutNotice(p)
			all.Store(0)
			var ssl bool
			require.NoError(t, p.Pool.QueryRow(t.Context(), "select ssl from pg_stat_ssl where pid = pg_backend_pid()").Scan(&ssl))
			require.True(t, ssl)
			require.Zero(t, plain.Load())
			require.EqualValues(t, 3, all.Load(), "the rejected one, the verification and the second")
		})
	}
}

func TestChannelBindingWorksThroughTheWrappedSocket(t *testing.T) {
	b := newBench(t)
	config := b.config(2, "channel_binding=require")
	p := b.openConfig(config, nil)
	require.NoError(t, selectOne(t.Context(), p))
	b.withoutNotice(p)
	require.NoError(t, selectOne(t.Context(), p.Pool))

	cc := b.connConfig()
	cc.ChannelBinding = "require"
	db := b.openDB(pool.Postgres(cc))
	require.NoError(t, db.PingContext(t.Context()))
}

func TestUnixSocket(t *testing.T) {
	b := newBench(t)
	// Not the server's own: one in a container has none that can be reached.
	dir := t.TempDir()
	forward(t, filepath.Join(dir, ".s.PGSQL.5432"), b.address())
	config, err := pgxpool.ParseConfig(fmt.Sprintf("host=%s,127.0.0.1 port=5432,1 dbname=%s pool_max_conns=2", dir, b.Name))
	require.NoError(t, err)
	p := b.openConfig(config, nil)
	require.NoError(t, selectOne(t.Context(), p.Pool))
	b.withoutNotice(p)
	require.NoError(t, selectOne(t.Context(), p.Pool))
	canceled(t, p)
}

func TestCancelRequestReachesTheServer(t *testing.T) {
	b := newBench(t)
	for _, sslmode := range []string{"disable", "verify-full"} {
		t.Run(sslmode, func(t *testing.T) {
			config := b.at(sslmode, b.address())
			p := b.openConfig(config, nil)
			b.withoutNotice(p)
			canceled(t, p)
			calm(t, p)
		})
	}
}

// canceled runs a long statement and cancels it.
func canceled(t *testing.T, p *pool.ManagedPool) {
	t.Helper()
	c, err := p.Acquire(t.Context())
	require.NoError(t, err)
	defer c.Release()
	done := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.WithoutCancel(t.Context()), "select pg_sleep(600)")
		done <- err
	}()
	var rejection *pgconn.PgError
	require.Eventually(t, func() bool {
		// It may come before the statement does, so it is sent until it works.
		if err := c.Conn().PgConn().CancelRequest(t.Context()); err != nil {
			t.Error(err)
			return true
		}
		select {
		case err := <-done:
			require.ErrorAs(t, err, &rejection)
			return true
		default:
			return false
		}
	}, patience, 10*time.Millisecond)
	require.Equal(t, "57014", rejection.Code)
	require.NoError(t, selectOne(t.Context(), c))
}

func TestPasswordsOfTheEnvironmentDoNotWin(t *testing.T) {
	b := newBench(t)
	pgpass := filepath.Join(t.TempDir(), "pgpass")
	writeFile(t, pgpass, "*:*:*:*:from the pgpass file\n")
	t.Setenv("PGPASSFILE", pgpass)
	p := b.openConfig(b.config(2), nil)
	require.NoError(t, selectOne(t.Context(), p))

	t.Setenv("PGUSER", "nobody")
	t.Setenv("PGPASSWORD", "from the environment")
	p = b.openConfig(b.config(2), nil)
	require.NoError(t, selectOne(t.Context(), p))
	db := b.openDB(pool.Postgres(b.connConfig()))
	require.NoError(t, db.PingContext(t.Context()))
	require.Zero(t, p.Health().LoginsRejected+db.Health().LoginsRejected)
}

func TestConnectionRefusedIsReadable(t *testing.T) {
	b := newBench(t)
	r := b.refresher(nil)
	_, err := pool.New(t.Context(), b.at("disable", "127.0.0.1:1"), r, nil)
	require.ErrorContains(t, err, "connection refused")
	require.NotErrorIs(t, err, refresh.ErrRejected)

	config := b.at("disable", b.address())
	var down atomic.Bool
	config.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
		if down.Load() {
			cc.Port = 1
		}
		return nil
	}
	p := b.openConfig(config, nil)
	down.Store(true)
	err = selectOne(t.Context(), p)
	require.ErrorContains(t, err, "connection refused")
	require.Zero(t, sockets(p))
	down.Store(false)
	require.NoError(t, selectOne(t.Context(), p))
}
