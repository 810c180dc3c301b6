package pool_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
)

// tracer records everything that pgx and pgxpool can trace.
type tracer struct{ *record }

func (r tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	r.add("query starts")
	return ctx
}

func (r tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) { r.add("query ends") }

func (r tracer) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	r.add("connect starts")
	return ctx
}
func (r tracer) TraceConnectEnd(context.Context, pgx.TraceConnectEndData) { r.add("connect ends") }

func (r tracer) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	r.add("acquire starts")
	return ctx
}

func (r tracer) TraceAcquireEnd(context.Context, *pgxpool.Pool, pgxpool.TraceAcquireEndData) {
	r.add("acquire ends")
}
func (r tracer) TraceRelease(*pgxpool.Pool, pgxpool.TraceReleaseData) { r.add("release") }

// hookAll sets every hook to record that it was called, and to do what it did
// before.
func hookAll(config *pgxpool.Config, r *record) {
	cc := config.ConnConfig
	cc.Tracer = tracer{r}
	config.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { r.add("BeforeConnect"); return nil }
	lookup := cc.LookupFunc
	cc.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		r.add("LookupFunc")
		return lookup(ctx, host)
	}
	dial := cc.DialFunc
	cc.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		r.add("DialFunc")
		return dial(ctx, network, address)
	}
	cc.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) {
		r.add("AfterNetConnect")
		return conn, nil
	}
	cc.ValidateConnect = func(context.Context, *pgconn.PgConn) error { r.add("ValidateConnect"); return nil }
	cc.AfterConnect = func(context.Context, *pgconn.PgConn) error { r.add("pgconn.AfterConnect"); return nil }
	config.AfterConnect = func(context.Context, *pgx.Conn) error { r.add("AfterConnect"); return nil }
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { r.add("ShouldPing"); return true }
	config.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) { r.add("PrepareConn"); return true, nil }
	config.BeforeAcquire = func(context.Context, *pgx.Conn) bool { r.add("BeforeAcquire"); return true }
	config.AfterRelease = func(*pgx.Conn) bool { r.add("AfterRelease"); return true }
	config.BeforeClose = func(*pgx.Conn) { r.add("BeforeClose") }
	cc.OnPgError = func(_ *pgconn.PgConn, e *pgconn.PgError) bool { r.add("OnPgError " + e.Code); return true }
	cc.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { r.add("OnNotice " + n.Message) }
}

func TestHooksAreCalledAsOftenAndInTheOrderOfARawPool(t *testing.T) {
	b := newBench(t)
	use := func(p interface {
		Acquire(context.Context) (*pgxpool.Conn, error)
		Close()
	}, r *record,
	) []string {
		for i := range 3 {
			c, err := p.Acquire(t.Context())
			require.NoError(t, err)
			_, err = c.Exec(t.Context(), "do $$ begin raise notice 'hello'; end $$")
			require.NoError(t, err)
			_, err = c.Exec(t.Context(), "select 1/0")
			require.Error(t, err)
			c.Release()
			eventually(t, func() bool { return r.count("AfterRelease") == i+1 }, "AfterRelease runs by itself")
		}
		p.Close()
		return r.all()
	}

	var raw, managed record
	config := b.config(1)
	hookAll(config, &raw)
	config.ConnConfig.User, config.ConnConfig.Password = b.user, b.password()
	rawPool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	want := use(rawPool, &raw)

	config = b.config(1)
	hookAll(config, &managed)
	p := b.openConfig(config, nil)
	managed.reset() // the verification's
	require.Equal(t, want, use(p, &managed))
}

func TestVerificationRunsTheHooksOfALogin(t *testing.T) {
	b := newBench(t)
	var r record
	config := b.config(1)
	hookAll(config, &r)
	b.openConfig(config, nil)
	require.Equal(t, []string{
		"BeforeConnect", "connect starts", "LookupFunc", "DialFunc", "AfterNetConnect", "ValidateConnect",
		"pgconn.AfterConnect", "connect ends", "AfterConnect", "BeforeClose",
	}, r.all())
}

func TestExchangeRunsNoHookThatIsForUsersOfTheConnection(t *testing.T) {
	b := newBench(t)
	var r record
	config := b.config(4)
	hookAll(config, &r)
	p := b.openConfig(config, nil)
	fill(t, p, 4)
	r.reset()
	version := p.Refresher().Current().Version
	b.newPassword()
	require.NoError(t, p.Drained(within(t, patience), version))
	calm(t, p)
	for _, event := range []string{"PrepareConn", "AfterRelease", "ShouldPing", "query starts"} {
		require.Zero(t, r.count(event), event)
	}
	require.Equal(t, 5, r.count("connect starts"), "four exchanged and one verification")
	require.Equal(t, 5, r.count("BeforeClose"))
	require.EqualValues(t, 4, p.Stat().IdleConns())
}

func TestPrepareConnComesBeforeBeforeAcquire(t *testing.T) {
	b := newBench(t)
	config := b.config(2)
	refuse := errors.New("not this one")
	var r record
	config.BeforeAcquire = func(context.Context, *pgx.Conn) bool { r.add("BeforeAcquire"); return true }
	config.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) { return true, refuse }
	p := b.openConfig(config, nil)
	require.ErrorIs(t, selectOne(t.Context(), p), refuse)
	require.Zero(t, r.count("BeforeAcquire"))
}

func TestBeforeAcquireStillRefusesConnections(t *testing.T) {
	b := newBench(t)
	config := b.config(1)
	refused := make(map[uint32]bool) // MaxConns is 1: one at a time
	config.BeforeAcquire = func(_ context.Context, conn *pgx.Conn) bool {
		pid := conn.PgConn().PID()
		if len(refused) == 0 {
			refused[pid] = true
		}
		return !refused[pid]
	}
	p := b.openConfig(config, nil)
	var pid uint32
	require.NoError(t, p.QueryRow(t.Context(), "select pg_backend_pid()").Scan(&pid))
	require.Len(t, refused, 1)
	require.False(t, refused[pid])
}

func TestAfterReleaseStillDestroysConnections(t *testing.T) {
	b := newBench(t)
	config := b.config(1)
	config.AfterRelease = func(*pgx.Conn) bool { return false }
	p := b.openConfig(config, nil)
	require.NoError(t, selectOne(t.Context(), p))
	eventually(t, func() bool { return sockets(p) == 0 }, "the connection is destroyed on release")
}

func TestMaxConnLifetimeStillApplies(t *testing.T) {
	b := newBench(t)
	p := b.openConfig(b.config(1, "pool_max_conn_lifetime=200ms"), nil)
	eventually(t, func() bool {
		require.NoError(t, selectOne(t.Context(), p))
		return p.Health().Logins >= 3
	}, "new connections after the old ones")
	require.Zero(t, p.Health().Retired, "their own age ended them")
}

func TestMinConnsAreKeptThroughARotation(t *testing.T) {
	for _, setting := range []string{"pool_min_conns=3", "pool_min_idle_conns=3"} {
		t.Run(setting, func(t *testing.T) {
			b := newBench(t)
			p := b.openConfig(b.config(4, setting, "pool_health_check_period=20ms"), nil)
			eventually(t, func() bool { return p.Stat().IdleConns() >= 3 }, "made in the background")
			version := p.Refresher().Current().Version
			b.newPassword()
			require.NoError(t, p.Drained(within(t, patience), version))
			eventually(t, func() bool { return p.Stat().IdleConns() >= 3 }, "still there")
			calm(t, p)
			require.LessOrEqual(t, sockets(p), 4)
		})
	}
}

func TestF18ConfigIsNotChanged(t *testing.T) {
	b := newBench(t)
	config := b.config(2)
	config.ConnConfig.User, config.ConnConfig.Password = "nobody", "their own"
	before := config.Copy()
	first := b.openConfig(config, nil)
	second := b.openConfig(config, nil)
	version := first.Refresher().Current().Version
	for _, p := range []*pool.ManagedPool{first, second} {
		fill(t, p, 2)
	}
	b.newPassword()
	for _, p := range []*pool.ManagedPool{first, second} {
		require.NoError(t, p.Drained(within(t, patience), version))
	}
	require.Equal(t, "nobody", config.ConnConfig.User)
	require.Equal(t, "their own", config.ConnConfig.Password)
	require.Equal(t, before.ConnConfig.Fallbacks, config.ConnConfig.Fallbacks)
	require.Equal(t, before.ConnConfig.RuntimeParams, config.ConnConfig.RuntimeParams)
	require.Equal(t, before.ConnConfig.ConnectTimeout, config.ConnConfig.ConnectTimeout)
	require.Nil(t, config.BeforeConnect)
	require.Nil(t, config.PrepareConn)
	require.Nil(t, config.ShouldPing)
	require.Nil(t, config.AfterRelease)
	require.Nil(t, config.ConnConfig.AfterNetConnect)
	require.Nil(t, config.ConnConfig.AfterConnect)
}

// An exchange takes idle connections into its hands and gives them back, so
// they do not look idle any more.
func TestIdleConnectionsWhoseServerDiedAreNotLentAfterAnExchange(t *testing.T) {
	b := newBench(t)
	config := b.config(4)
	const idle = 50 * time.Millisecond
	config.ShouldPing = func(_ context.Context, params pgxpool.ShouldPingParams) bool {
		return params.IdleDuration > idle
	}
	p := b.openConfig(config, nil)
	fill(t, p, 4)
	tx, err := p.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }() // where the test fails before it commits
	b.newUser()
	eventually(t, func() bool { return p.Health().Connections[2] == 3 }, "the idle ones are new")
	eventually(t, func() bool { return b.EndSessions(b.user) == 0 }, "all are dead")
	begun := time.Now()
	eventually(t, func() bool { return time.Since(begun) > idle }, "and idle")
	require.NoError(t, tx.Commit(t.Context()))
	eventually(t, func() bool { return !p.Attention() }, "the keeper has looked at all of them for the last time")
	for range 4 { // all at once, or they would take the same one by turns
		c, err := p.Acquire(t.Context())
		require.NoError(t, err)
		defer c.Release()
		require.NoError(t, selectOne(t.Context(), c))
	}
}
