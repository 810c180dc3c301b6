package pool_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

// Callers may take the room of those that have left to be replaced.
func TestVictimsLeaveThoughCallersHaveTakenTheirRoom(t *testing.T) {
	b := newBench(t)
	const conns = 4
	config := b.config(conns)
	down := new(atomic.Bool)
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if down.Load() {
			return nil, errors.New("the network is down")
		}
		return dial(ctx, network, address)
	}
	p := b.openConfig(config, nil)
	fill(t, p, conns)
	version := p.Refresher().Current().Version
	defer p.Refresher().OnChange(func(refresh.Snapshot) { down.Store(true) })()
	b.newUser()
	eventually(t, func() bool { return p.Stat().TotalConns() == conns-2 }, "two have left and cannot be replaced")
	var lent []*pgxpool.Conn
	for range conns - 2 {
		c, err := p.Acquire(t.Context())
		require.NoError(t, err)
		lent = append(lent, c)
	}
	down.Store(false)
	for range 2 {
		c, err := p.Acquire(t.Context())
		require.NoError(t, err)
		lent = append(lent, c)
	}
	for _, c := range lent {
		c.Release()
	}
	require.NoError(t, p.Drained(within(t, patience/3), version))
	calm(t, p)
	require.LessOrEqual(t, sockets(p), conns)
}

func TestVictimsOfADBLeaveThoughCallersHaveTakenTheRoom(t *testing.T) {
	b := newBench(t)
	down := new(atomic.Bool)
	cc := b.connConfig()
	dial := cc.DialFunc
	cc.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if down.Load() {
			return nil, errors.New("the network is down")
		}
		return dial(ctx, network, address)
	}
	db := b.openDB(pool.Postgres(cc))
	const conns = 8
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	fillDB(t, db, conns-3)
	version := db.Refresher().Current().Version
	defer db.Refresher().OnChange(func(refresh.Snapshot) { down.Store(true) })()
	b.newUser()
	eventually(t, func() bool { return db.Health().Generation == 2 && db.Stats().InUse == 2 }, "two have left and cannot be replaced")
	down.Store(false)
	l := load.Start(t.Context(), conns*2, func(ctx context.Context) error {
		_, err := db.ExecContext(ctx, "select pg_sleep(0.005)")
		return err
	})
	require.NoError(t, db.Drained(within(t, patience/3), version))
	r := l.Stop()
	require.NoError(t, r.Err)
	calm(t, db)
}

// A rollover that is undone leaves nothing behind that it has taken out.
func TestVictimsAreClosedThoughTheirUserWasReturnedTo(t *testing.T) {
	b := newBench(t)
	config := b.config(2)
	down := new(atomic.Bool)
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if down.Load() {
			return nil, errors.New("the network is down")
		}
		return dial(ctx, network, address)
	}
	p := b.openConfig(config, nil)
	fill(t, p, 2)
	defer p.Refresher().OnChange(func(s refresh.Snapshot) { down.Store(s.Generation == 2) })()
	b.newPoorUser("select (id) on orders")
	eventually(t, func() bool { return p.Stat().TotalConns() == 0 && sockets(p) == 2 }, "both have left and cannot be replaced")
	began := time.Now()
	eventually(t, func() bool { return time.Since(began) > 2*time.Second }, "it slows down")
	down.Store(false)
	c, err := p.Acquire(t.Context())
	require.NoError(t, err)
	_, err = c.Exec(t.Context(), "select qty from orders")
	require.True(t, denied(err), err)
	require.NoError(t, c.Conn().Close(t.Context()))
	c.Release()
	eventually(t, func() bool { return p.Health().Generation == 1 }, "taken back")
	eventually(t, func() bool { return sockets(p) == int(p.Stat().TotalConns()) }, "none is left beside the pool")
	calm(t, p)
}
