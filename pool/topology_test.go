package pool_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgbouncer"
	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

// A rule of its own for the codes is not needed for any topology: these tests
// run at the defaults.

// bounced puts a pgbouncer in front of the test's database.
func (b *bench) bounced(mode string) {
	b.t.Helper()
	bouncer, err := pgbouncer.Start(b.t.Context(), b.Server, &pgbouncer.Options{PoolMode: mode, ServerLoginRetry: time.Second, Log: b.t.Output()})
	require.NoError(b.t, err)
	b.t.Cleanup(func() { require.NoError(b.t, bouncer.Close()) })
	b.DSN = bouncer.DatabaseDSN(b.Name)
}

func TestF13BehindPgbouncerAPasswordIsRotatedUnderLoad(t *testing.T) {
	for _, mode := range []string{"session", "transaction"} {
		t.Run(mode, func(t *testing.T) {
			b := newBench(t)
			b.bounced(mode)
			config, err := pgxpool.ParseConfig(b.DSN + "&pool_max_conns=8")
			require.NoError(t, err)
			config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec // no prepared statements behind a pooler
			p := b.openConfig(config, nil)
			l := load.Start(t.Context(), 16, func(ctx context.Context) error { return selectOne(ctx, p) })
			for range 4 {
				version := p.Refresher().Current().Version
				old := b.newUser()
				require.NoError(t, p.Drained(within(t, patience), version))
				_ = old // its sessions at the server are pgbouncer's and outlive it
			}
			r := l.Stop()
			require.NoError(t, r.Err)
			require.Zero(t, r.Failed)
			calm(t, p)
		})
	}
}

func TestF13BehindPgbouncerARejectedLoginIsDoubtfulAndRecovers(t *testing.T) {
	b := newBench(t)
	b.bounced("session")
	p := b.open(2, nil)
	db := b.openDB(pool.Postgres(b.connConfig()))
	// The database first, and the store without a word: the login that fails
	// with 08P01 has the source asked.
	b.changePassword()
	b.follow()
	calls := b.store.Calls()
	require.NoError(t, selectOne(within(t, patience), p.Pool), "not even a user of the raw pool sees it")
	require.NoError(t, db.PingContext(within(t, patience)))
	require.LessOrEqual(t, b.store.Calls(), calls+2, "one fetch each")
	h := p.Health()
	require.EqualValues(t, 2, h.Generation)
	require.Zero(t, h.LoginsRejected, "nothing is held against the credential")
	require.Zero(t, h.Rejections)
	require.Equal(t, refresh.Fresh, h.State)
}

func TestF13BehindPgbouncerACandidateInDoubtIsKept(t *testing.T) {
	b := newBench(t)
	b.bounced("session")
	p := b.open(2, nil)
	require.NoError(t, selectOne(t.Context(), p))
	// The store is ahead of the database.
	b.n++
	b.follow()
	require.Error(t, p.Refresher().Refresh(t.Context()))
	h := p.Health()
	require.EqualValues(t, 1, h.Generation)
	require.Contains(t, h.LastError, "could not be verified yet", "not rejected")
	require.NoError(t, selectOne(t.Context(), p), "the old one serves")
	b.SetPassword(b.user, b.password())
	eventually(t, func() bool { return p.Health().Generation == 2 }, "verified again, without a change of the store")
	require.NoError(t, selectOne(within(t, patience), p))
}

// A proxy answers for RDS Proxy: in front of the real server it turns the
// server's 28P01 into 28000. It speaks no TLS.
type proxy struct {
	address  string
	upstream string
	sessions sync.WaitGroup
}

func newProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{address: l.Addr().String(), upstream: upstream}
	var open sync.Map
	p.sessions.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			open.Store(client, nil)
			p.sessions.Go(func() {
				defer client.Close()
				p.serve(client)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		open.Range(func(c, _ any) bool { _ = c.(net.Conn).Close(); return true })
		p.sessions.Wait()
	})
	return p
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.upstream)
	if err != nil {
		return
	}
	var both sync.WaitGroup
	defer both.Wait()
	defer server.Close()
	both.Go(func() {
		defer server.Close()
		buf := make([]byte, 1<<15)
		for {
			n, err := client.Read(buf)
			if n > 0 {
				_, _ = server.Write(buf[:n])
			}
			if err != nil {
				return
			}
		}
	})
	defer client.Close()
	frontend := pgproto3.NewFrontend(server, server)
	backend := pgproto3.NewBackend(client, client)
	for {
		message, err := frontend.Receive()
		if err != nil {
			return
		}
		if e, ok := message.(*pgproto3.ErrorResponse); ok && e.Code == "28P01" {
			e.Code = "28000"
		}
		backend.Send(message)
		if backend.Flush() != nil {
			return
		}
	}
}

func TestF13RDSProxyRejectsAlternatingUsersWith28000(t *testing.T) {
	b := newBench(t)
	config := b.config(4)
	p := newProxy(t, fmt.Sprintf("%s:%d", config.ConnConfig.Host, config.ConnConfig.Port))
	host, port, _ := strings.Cut(p.address, ":")
	config, err := pgxpool.ParseConfig(fmt.Sprintf("host=%s port=%s dbname=%s sslmode=disable pool_max_conns=4", host, port, b.Name))
	require.NoError(t, err)
	m := b.openConfig(config, nil)
	l := load.Start(t.Context(), 8, func(ctx context.Context) error { return selectOne(ctx, m) })
	for range 3 {
		// Alternating users, seen late: this one's password has been changed for
		// the next rotation but one when the store is asked.
		version := m.Refresher().Current().Version
		b.changePassword()
		b.follow()
		m.Reset()
		require.NoError(t, m.Drained(within(t, patience), version))
	}
	r := l.Stop()
	require.NoError(t, r.Err)
	require.Zero(t, r.Failed)
	require.NotZero(t, m.Health().LoginsRejected, "28000 is a rejection")
}
