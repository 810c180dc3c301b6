package pool_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

func TestOpenSaysWhatIsWrong(t *testing.T) {
	b := newBench(t)
	src := source.Static(b.user, source.NewSecret(b.password()))
	quiet := &pool.Options{Logger: logger(t)}
	ctx := within(t, patience)

	_, err := pool.Open(ctx, "postgres://%zz", src, quiet)
	require.ErrorContains(t, err, "connection string")
	_, err = pool.Open(ctx, b.DSN, nil, quiet)
	require.ErrorContains(t, err, "source")

	begun := time.Now()
	_, err = pool.Open(ctx, b.DSN, source.Static(b.user, source.NewSecret("wrong")), quiet)
	require.ErrorIs(t, err, refresh.ErrRejected)
	require.ErrorContains(t, err, b.user)
	var rejection *pgconn.PgError
	require.ErrorAs(t, err, &rejection)
	require.Equal(t, "28P01", rejection.Code)
	require.Less(t, time.Since(begun), 15*time.Second, "it does not wait for time-outs")

	_, err = pool.Open(ctx, "postgres://127.0.0.1:1/db?sslmode=disable", src, quiet)
	require.ErrorContains(t, err, "connection refused")
	require.NotErrorIs(t, err, refresh.ErrRejected)

	away := source.Permanent(errors.New("no such secret"))
	_, err = pool.Open(ctx, b.DSN, source.Func(func(context.Context) (source.Credential, error) { return source.Credential{}, away }), quiet)
	require.ErrorIs(t, err, away)

	r := b.refresher(nil)
	_, err = pool.New(ctx, nil, r, nil)
	require.Error(t, err)
	_, err = pool.New(ctx, b.config(1), nil, nil)
	require.Error(t, err)
	_, err = pool.OpenDB(ctx, nil, r, nil)
	require.Error(t, err)
	_, err = pool.OpenDB(ctx, pool.Postgres(b.connConfig()), nil, nil)
	require.Error(t, err)

	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = pool.Open(canceled, b.DSN, src, quiet)
	require.ErrorIs(t, err, context.Canceled)
}

func TestContextOfOpenGovernsTheStartOnly(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	p, err := pool.Open(ctx, b.DSN, b.store, &pool.Options{Logger: logger(t)})
	require.NoError(t, err)
	defer p.Close()
	cancel()
	version := p.Refresher().Current().Version
	b.newPassword()
	require.NoError(t, p.Drained(within(t, patience), version))
	require.NoError(t, selectOne(t.Context(), p))
}

func TestVerifyDecidesAboutACandidate(t *testing.T) {
	b := newBench(t)
	b.store.TTL(time.Hour) // so that each has a lease
	refuse, stutter := new(atomic.Bool), new(atomic.Bool)
	seen := new(record)
	p := b.open(2, &pool.Options{
		Verify: func(_ context.Context, conn *pgx.Conn) error {
			seen.add(conn.Config().User)
			switch {
			case refuse.Load():
				return errors.New("rights are missing")
			case stutter.Swap(false):
				return &pgconn.PgError{Code: "53300", Message: "too many connections"}
			}
			return nil
		},
		Refresh: &refresh.Options{MinBackoff: 20 * time.Millisecond, MaxBackoff: 20 * time.Millisecond},
	})
	first := b.user
	require.Equal(t, []string{first}, seen.all())

	refuse.Store(true)
	b.newUser()
	refused := b.user
	eventually(t, func() bool { return slices.Contains(b.store.Revoked(), refused) }, "its lease is revoked")
	h := p.Health()
	require.Equal(t, first, h.Username, "the old one stays")
	require.Equal(t, refresh.Degraded, h.State)
	require.Contains(t, h.LastError, "rights are missing")
	require.NoError(t, selectOne(t.Context(), p))

	refuse.Store(false)
	stutter.Store(true)
	b.newUser()
	eventually(t, func() bool { return p.Health().Username == b.user }, "kept and verified again")
	require.NotContains(t, b.store.Revoked(), b.user)
	calm(t, p)
}

func TestF10RefusedCandidatesDoNotPileUp(t *testing.T) {
	b := newBench(t)
	s := &landlord{b: b, life: time.Hour}
	refuse := new(atomic.Bool)
	opts := &pool.Options{
		Logger:  logger(t),
		Refresh: &refresh.Options{Logger: logger(t), MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond},
		Verify: func(context.Context, *pgx.Conn) error {
			if refuse.Load() {
				return errors.New("never good")
			}
			return nil
		},
	}
	p, err := pool.Open(t.Context(), b.DSN, s, opts)
	require.NoError(t, err)
	defer p.Close()
	refuse.Store(true)
	for range 5 {
		require.ErrorIs(t, p.Refresher().Refresh(t.Context()), refresh.ErrRejected)
		require.LessOrEqual(t, p.Health().LiveLeases, 2)
	}
	eventually(t, func() bool { return len(s.gone()) >= 5 }, "they are revoked")
	require.NoError(t, selectOne(t.Context(), p))
}

func TestTwoPoolsShareARefresher(t *testing.T) {
	b := newBench(t)
	r := b.refresher(nil)
	config := b.config(2)
	first, second := b.share(config, r, nil), b.share(config, r, nil)
	fill(t, first, 2)
	fill(t, second, 2)
	version := r.Current().Version
	b.newPassword()
	require.NoError(t, first.Drained(within(t, patience), version))
	require.NoError(t, second.Drained(within(t, patience), version))
	first.Close()
	require.Equal(t, refresh.Closed, first.Health().State)
	require.Error(t, selectOne(t.Context(), first))

	version = r.Current().Version
	old := b.newUser()
	require.NoError(t, second.Drained(within(t, patience), version))
	b.DropUser(old)
	require.NoError(t, selectOne(t.Context(), second))
	require.Equal(t, refresh.Fresh, second.Health().State)
	calm(t, second)
}

func TestCloseWaitsForLentConnectionsAndIsIdempotent(t *testing.T) {
	b := newBench(t)
	p := b.open(2, nil)
	c, err := p.Acquire(t.Context())
	require.NoError(t, err)
	closed := make(chan struct{})
	go func() { p.Close(); close(closed) }()
	eventually(t, func() bool { return p.Health().State == refresh.Closed }, "it closes")
	require.NoError(t, selectOne(t.Context(), c), "what is lent goes on")
	select {
	case <-closed:
		require.FailNow(t, "closed with a connection lent")
	default:
	}
	c.Release()
	wait(t, closed, "closed")
	p.Close()
	require.NoError(t, p.Shutdown(t.Context()))
	require.Zero(t, sockets(p))
	require.ErrorIs(t, p.Drained(t.Context(), p.Refresher().Current().Version), refresh.ErrClosed)
}

func TestCloseWhileARolloverAndLoginsAreUnderWay(t *testing.T) {
	b := newBench(t)
	for i := range 6 {
		p := b.open(8, nil)
		fill(t, p, 8)
		generation := p.Health().Generation
		switch i % 3 {
		case 0:
			b.newPassword()
			eventually(t, func() bool { return p.Health().Generation > generation }, "a rollover begins")
		case 1:
			b.changePassword() // logins wait for a store that never follows
			p.Reset()
			for range 4 {
				go func() { _ = selectOne(context.Background(), p.Pool) }() // ends with the pool
			}
			eventually(t, func() bool { return p.Health().LoginsRejected > 0 }, "they wait")
		case 2:
			b.EndSessions(b.user)
		}
		closed := make(chan struct{})
		go func() { p.Close(); close(closed) }()
		wait(t, closed, "closed")
		eventually(t, func() bool { return sockets(p) == 0 }, "nothing is left")
		b.publish()
	}
}

func TestF09RevocationThatHangsOrFailsIsReportedInTime(t *testing.T) {
	b := newBench(t)
	b.store.TTL(time.Hour)
	for _, hangs := range []bool{true, false} {
		p := b.open(1, nil)
		require.NoError(t, selectOne(t.Context(), p))
		b.store.HangRevoke(hangs)
		b.store.FailRevoke(errors.New("permission denied"))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := p.Shutdown(ctx)
		cancel()
		if hangs {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		} else {
			require.ErrorContains(t, err, "permission denied")
			require.ErrorContains(t, err, b.user, "the lease is named")
		}
		require.Zero(t, sockets(p), "the connections are closed all the same")
		b.store.HangRevoke(false)
		b.store.FailRevoke(nil)
	}
}

func TestG7ShutdownThatRunsOutOfTimeStillRevokes(t *testing.T) {
	b := newBench(t)
	b.store.TTL(time.Hour)
	p := b.open(2, nil)
	lent, err := p.Acquire(t.Context())
	require.NoError(t, err)
	defer lent.Release()
	err = p.Shutdown(within(t, 2*time.Second))
	require.ErrorContains(t, err, "1 connections are still lent")
	require.Zero(t, b.store.Live(), "the lease is revoked all the same")
}
