package pool_test

import (
	"context"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
)

// hang makes one hook wait for the end of its context once armed is closed.
func hang(config *pgxpool.Config, hook string, armed, reached chan struct{}) {
	cc := config.ConnConfig
	var once sync.Once
	stop := func(ctx context.Context) error {
		select {
		case <-armed:
			once.Do(func() { close(reached) })
			<-ctx.Done()
			return ctx.Err()
		default:
			return nil
		}
	}
	lookup, dial := cc.LookupFunc, cc.DialFunc
	switch hook {
	case "BeforeConnect":
		config.BeforeConnect = func(ctx context.Context, _ *pgx.ConnConfig) error { return stop(ctx) }
	case "LookupFunc":
		cc.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
			if err := stop(ctx); err != nil {
				return nil, err
			}
			return lookup(ctx, host)
		}
	case "DialFunc":
		cc.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			if err := stop(ctx); err != nil {
				return nil, err
			}
			return dial(ctx, network, address)
		}
	case "AfterNetConnect":
		cc.AfterNetConnect = func(ctx context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) {
			return conn, stop(ctx)
		}
	case "ValidateConnect":
		cc.ValidateConnect = func(ctx context.Context, _ *pgconn.PgConn) error { return stop(ctx) }
	case "pgconn's AfterConnect":
		cc.AfterConnect = func(ctx context.Context, _ *pgconn.PgConn) error { return stop(ctx) }
	case "AfterConnect":
		config.AfterConnect = func(ctx context.Context, _ *pgx.Conn) error { return stop(ctx) }
	}
}

func TestCloseEndsALoginAtAnyStage(t *testing.T) {
	b := newBench(t)
	for _, hook := range []string{
		"BeforeConnect", "LookupFunc", "DialFunc", "AfterNetConnect", "ValidateConnect", "pgconn's AfterConnect", "AfterConnect",
	} {
		t.Run(hook, func(t *testing.T) {
			armed, reached := make(chan struct{}), make(chan struct{})
			config := b.config(2)
			hang(config, hook, armed, reached)
			p := b.openConfig(config, nil)
			close(armed)
			result := make(chan error, 1)
			go func() { result <- selectOne(context.WithoutCancel(t.Context()), p) }()
			wait(t, reached, "the login gets there")
			closed := make(chan struct{})
			go func() { p.Close(); close(closed) }()
			require.Error(t, wait(t, result, "the caller is told"))
			wait(t, closed, "closed")
			require.Zero(t, sockets(p))
		})
		if hook == "AfterConnect" || hook == "BeforeConnect" {
			continue // stdlib has its own
		}
		t.Run(hook+" of a DB", func(t *testing.T) {
			armed, reached := make(chan struct{}), make(chan struct{})
			config := b.config(2)
			hang(config, hook, armed, reached)
			db := b.openDB(pool.Postgres(config.ConnConfig))
			close(armed)
			result := make(chan error, 1)
			go func() { result <- db.PingContext(context.WithoutCancel(t.Context())) }()
			wait(t, reached, "the login gets there")
			require.NoError(t, db.Close())
			require.Error(t, wait(t, result, "the caller is told"))
			require.Zero(t, sockets(db))
		})
	}
}

// elsewhere makes the pool dial another server while on is set.
func elsewhere(config *pgxpool.Config, port string, on func() bool) {
	config.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
		if !on() {
			return nil
		}
		n, err := strconv.ParseUint(port, 10, 16)
		cc.Port = uint16(n)
		return err
	}
}

func TestLoginThatFailsAtAnyStageIsReleased(t *testing.T) {
	b := newBench(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, and nobody answers
	require.NoError(t, err)
	defer silent.Close()
	_, silentPort, err := net.SplitHostPort(silent.Addr().String())
	require.NoError(t, err)
	for name, c := range map[string]struct{ port, sslmode, want string }{
		"refused":             {"1", "verify-full", "connection refused"},
		"silent":              {silentPort, "disable", "timeout"},
		"silent before TLS":   {silentPort, "verify-full", "timeout"},
		"no TLS":              {newFakeServer(t, "28P01").port(), "verify-full", "refused TLS"},
		"too many":            {newFakeServer(t, "53300").port(), "disable", "53300"},
		"starting up":         {newFakeServer(t, "57P03").port(), "disable", "57P03"},
		"no such database":    {newFakeServer(t, "3D000").port(), "disable", "3D000"},
		"no right to connect": {newFakeServer(t, "42501").port(), "disable", "42501"},
	} {
		t.Run(name, func(t *testing.T) {
			config := b.config(2, "sslmode="+c.sslmode, "connect_timeout=1")
			var mu sync.Mutex
			away := false
			elsewhere(config, c.port, func() bool { mu.Lock(); defer mu.Unlock(); return away })
			p := b.openConfig(config, nil)
			mu.Lock()
			away = true
			mu.Unlock()
			require.ErrorContains(t, selectOne(t.Context(), p), c.want)
			require.Zero(t, sockets(p))
			require.Zero(t, p.Health().LoginsRejected, "it says nothing about the credential")
			mu.Lock()
			away = false
			mu.Unlock()
			require.NoError(t, selectOne(t.Context(), p))
		})
	}
}

func TestEveryMethodOutlivesARejectedLogin(t *testing.T) {
	b := newBench(t)
	p := b.open(2, nil)
	ctx := t.Context()
	for name, use := range map[string]func() error{
		"Acquire": func() error {
			c, err := p.Acquire(ctx)
			if err == nil {
				c.Release()
			}
			return err
		},
		"AcquireFunc": func() error {
			return p.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return c.Ping(ctx) })
		},
		"Exec": func() error { _, err := p.Exec(ctx, "select 1"); return err },
		"Query": func() error {
			rows, err := p.Query(ctx, "select 1")
			if err == nil {
				rows.Close()
			}
			return err
		},
		"QueryRow": func() error { return selectOne(ctx, p) },
		"Begin": func() error {
			tx, err := p.Begin(ctx)
			if err != nil {
				return err
			}
			return tx.Commit(ctx)
		},
		"BeginTx": func() error {
			tx, err := p.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
			if err != nil {
				return err
			}
			return tx.Rollback(ctx)
		},
		"CopyFrom": func() error {
			_, err := p.CopyFrom(ctx, pgx.Identifier{"orders"}, []string{"qty"}, pgx.CopyFromRows([][]any{{1}}))
			return err
		},
		"SendBatch": func() error {
			batch := new(pgx.Batch)
			batch.Queue("select 1")
			batch.Queue("select 2")
			return p.SendBatch(ctx, batch).Close()
		},
		"Ping": func() error { return p.Ping(ctx) },
	} {
		b.withoutNotice(p)
		require.NoError(t, use(), name)
		calm(t, p)
	}
	require.EqualValues(t, 10, p.Health().LoginsRejected)
}
