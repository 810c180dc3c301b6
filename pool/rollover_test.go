package pool_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

// A gate holds back the next dial after it was shut until it is opened.
type gate struct {
	shut    atomic.Bool
	reached chan struct{}
	open    chan struct{}
}

func newGate(config *pgxpool.Config) *gate {
	g := &gate{reached: make(chan struct{}), open: make(chan struct{})}
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if g.shut.Swap(false) {
			close(g.reached)
			select {
			case <-g.open:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return dial(ctx, network, address)
	}
	return g
}

func TestF22SlowDialSpansARotation(t *testing.T) {
	b := newBench(t)
	config := b.config(2)
	g := newGate(config)
	p := b.openConfig(config, nil)
	first := p.Health()
	g.shut.Store(true)
	lent := make(chan *pgxpool.Conn, 1)
	go func() {
		c, err := p.Acquire(t.Context())
		if err != nil {
			t.Error(err)
		}
		lent <- c
	}()
	wait(t, g.reached, "the dial begins")
	old := b.newUser()
	eventually(t, func() bool { return p.Health().Generation > first.Generation }, "adopted")
	close(g.open)
	c := wait(t, lent, "the dial ends")
	require.NotNil(t, c)
	var user string
	require.NoError(t, c.QueryRow(t.Context(), "select session_user").Scan(&user))
	require.Equal(t, old, user)
	require.Equal(t, map[uint64]int{first.Generation: 1}, p.Health().Connections)
	c.Release()
	require.NoError(t, p.Drained(within(t, patience), first.Version))
	calm(t, p)
	require.EqualValues(t, 1, p.Health().Retired)
}

func TestF26ExchangeMakesBeforeItBreaks(t *testing.T) {
	b := newBench(t)
	const conns = 16
	config := b.config(conns)
	var p *pool.ManagedPool
	var closed, early atomic.Int64
	first := b.user
	config.BeforeClose = func(conn *pgx.Conn) {
		if conn.Config().User != first || p == nil {
			return // a verification
		}
		h := p.Health()
		if n := closed.Add(1); h.Generation == 1 || int64(h.Connections[h.Generation]) < n {
			early.Add(1)
		}
	}
	p = b.openConfig(config, nil)
	fill(t, p, conns)
	version := p.Refresher().Current().Version
	b.newUser()
	least := int32(conns)
	for p.Health().Generation == 1 || p.Attention() {
		least = min(least, p.Stat().TotalConns())
	}
	require.NoError(t, p.Drained(within(t, patience), version))
	calm(t, p)
	require.EqualValues(t, conns, closed.Load())
	require.Zero(t, early.Load(), "closed before a new one was there")
	require.GreaterOrEqual(t, least, int32(conns-2), "no more than the pace is missing at a time")
	require.EqualValues(t, conns, p.Stat().IdleConns(), "and in the end none")
}

func TestLongTransactionSurvivesARotation(t *testing.T) {
	b := newBench(t)
	p := b.open(4, nil)
	fill(t, p, 4)
	tx, err := p.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "insert into orders(item, qty) values ('kept', 1)")
	require.NoError(t, err)
	version := p.Refresher().Current().Version
	b.newUser()
	drained := make(chan error, 1)
	go func() { drained <- p.Drained(within(t, patience), version) }()
	eventually(t, func() bool { h := p.Health(); return h.Generation == 2 && h.Connections[1] == 1 }, "all others have left")
	_, err = tx.Exec(t.Context(), "update orders set qty = 2 where item = 'kept'")
	require.NoError(t, err)
	require.Empty(t, drained, "the transaction still uses the old version")
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, wait(t, drained, "drained"))
	var qty int
	require.NoError(t, p.QueryRow(t.Context(), "select qty from orders where item = 'kept'").Scan(&qty))
	require.Equal(t, 2, qty)
	calm(t, p)
}

func TestDrainedWaitsForHijackedConnections(t *testing.T) {
	b := newBench(t)
	p := b.open(2, nil)
	c, err := p.Acquire(t.Context())
	require.NoError(t, err)
	conn := c.Hijack()
	version := p.Refresher().Current().Version
	b.newUser()
	drained := make(chan error, 1)
	go func() { drained <- p.Drained(within(t, patience), version) }()
	eventually(t, func() bool { return p.Health().Generation == 2 }, "adopted")
	require.NoError(t, selectOne(t.Context(), conn))
	require.Equal(t, 1, p.Health().Connections[1])
	require.Empty(t, drained)
	require.NoError(t, conn.Close(t.Context()))
	require.NoError(t, wait(t, drained, "drained"))
	calm(t, p)
}

func TestSaturatedPoolRollsOver(t *testing.T) {
	b := newBench(t)
	p := b.open(2, nil)
	var lent []*pgxpool.Conn
	for range 2 {
		c, err := p.Acquire(t.Context())
		require.NoError(t, err)
		lent = append(lent, c)
	}
	results := make(chan error, 20)
	for range 20 {
		go func() { results <- selectOne(t.Context(), p) }()
	}
	eventually(t, func() bool { return p.Stat().EmptyAcquireCount() >= 2 }, "callers wait")
	version := p.Refresher().Current().Version
	old := b.newUser()
	eventually(t, func() bool { return p.Health().Generation == 2 }, "adopted")
	for _, c := range lent {
		require.NoError(t, selectOne(t.Context(), c))
		c.Release()
	}
	for range 20 {
		require.NoError(t, wait(t, results, "all callers are served"))
	}
	require.NoError(t, p.Drained(within(t, patience), version))
	b.DropUser(old)
	calm(t, p)
}

func TestSmallPoolSurvivesQuickRotations(t *testing.T) {
	b := newBench(t)
	p := b.open(3, nil)
	l := load.Start(t.Context(), 4, func(ctx context.Context) error { return selectOne(ctx, p.Pool) })
	for range 20 {
		generation := p.Health().Generation
		b.newUser() // nobody waits for the one before to drain
		eventually(t, func() bool { return p.Health().Generation > generation }, "adopted")
	}
	r := l.Stop()
	require.NoError(t, r.Err)
	require.Zero(t, r.Failed)
	calm(t, p)
}

// A pool asks only so many connections before it gives up on a caller, so the
// one that was made for the caller must not be refused.
func TestConnectionMadeForACallerIsLentThoughAnotherRotationCameInBetween(t *testing.T) {
	b := newBench(t)
	config := b.config(1)
	g := newGate(config)
	p := b.openConfig(config, nil)
	fill(t, p, 1)
	lent, err := p.Acquire(t.Context())
	require.NoError(t, err)
	b.newUser()
	eventually(t, func() bool { return p.Health().Generation == 2 && p.Allowance() > 0 }, "adopted")
	result := make(chan error, 1)
	g.shut.Store(true)
	go func() {
		for range 100 { // as often as the old connection is still lent
			if err := selectOne(t.Context(), p.Pool); err != nil {
				result <- err
				return
			}
		}
		result <- nil
	}()
	lent.Release()
	wait(t, g.reached, "the old connection is given up, and a new one dialed")
	b.newUser()
	eventually(t, func() bool { return p.Health().Generation == 3 && p.Allowance() > 0 }, "adopted")
	close(g.open)
	require.NoError(t, wait(t, result, "served"))
	calm(t, p)
}

// While no new connection can be made, the good old ones must not be given up
// for it.
func TestRolloverSlowsDownWhileLoginsFail(t *testing.T) {
	b := newBench(t)
	const conns = 16
	config := b.config(conns)
	down, failed := new(atomic.Bool), new(atomic.Int64)
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if down.Load() {
			failed.Add(1)
			return nil, errors.New("the network is down")
		}
		return dial(ctx, network, address)
	}
	p := b.openConfig(config, nil)
	fill(t, p, conns)
	var since time.Time
	defer p.Refresher().OnChange(func(refresh.Snapshot) { since = time.Now(); down.Store(true) })()
	b.newUser()
	eventually(t, func() bool { return failed.Load() >= 2 && time.Since(since) > 400*time.Millisecond }, "time for twenty beats")
	require.GreaterOrEqual(t, sockets(p), conns/2)
	require.NoError(t, selectOne(t.Context(), p))
	down.Store(false)
	calm(t, p)
}

// The database changes once more right after the rollover has begun, so the
// new credential is rejected while the old connections are all that works.
func TestRolloverStopsWhileTheNewCredentialIsRejected(t *testing.T) {
	b := newBench(t)
	const conns = 8
	p := b.open(conns, &pool.Options{Pace: 1})
	fill(t, p, conns)
	old := b.user
	b.newUser()
	eventually(t, func() bool { return p.Health().Generation == 2 }, "adopted")
	b.changePassword()
	eventually(t, func() bool { return p.Health().Rejections > 0 || !p.Attention() }, "noticed, or too late")
	for range 50 {
		require.NoError(t, selectOne(t.Context(), p))
	}
	require.Equal(t, p.Health().Connections[1], b.Sessions(old))
	b.publish()
	calm(t, p)
	require.EqualValues(t, conns, p.Stat().TotalConns())
}

// A connection that stays lent must not keep the pool on the slow path.
func TestRolloverRestsWhileAConnectionStaysLent(t *testing.T) {
	b := newBench(t)
	p := b.open(4, nil)
	fill(t, p, 4)
	listener, err := p.Acquire(t.Context())
	require.NoError(t, err)
	version := p.Refresher().Current().Version
	b.newPassword()
	eventually(t, func() bool { h := p.Health(); return h.Connections[1] == 1 && h.Connections[2] == 3 }, "all others are exchanged")
	eventually(t, func() bool { return !p.Attention() }, "then it rests")
	listener.Release()
	require.NoError(t, p.Drained(within(t, patience), version), "and looks again")
}
