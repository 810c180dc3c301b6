package pool_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

// An outage lets nobody dial from the moment that the second credential is the one,
// be it before or after the rollover begins.
type outage struct {
	refresher atomic.Pointer[refresh.Refresher]
}

func (o *outage) begins(r *refresh.Refresher) { o.refresher.Store(r) }
func (o *outage) ends()                       { o.refresher.Store(nil) }

func (o *outage) dial(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if r := o.refresher.Load(); r != nil && r.Current().Generation == 2 {
			return nil, errors.New("the network is down")
		}
		return dial(ctx, network, address)
	}
}

// Callers may take the room of those that have left to be replaced.
func TestVictimsLeaveThoughCallersHaveTakenTheirRoom(t *testing.T) {
	b := newBench(t)
	const conns = 4
	config := b.config(conns)
	var o outage
	config.ConnConfig.DialFunc = o.dial(config.ConnConfig.DialFunc)
	p := b.openConfig(config, nil)
	fill(t, p, conns)
	version := p.Refresher().Current().Version
	o.begins(p.Refresher())
	b.newUser()
	eventually(t, func() bool { return p.Stat().TotalConns() == conns-2 }, "two have left and cannot be replaced")
	var lent []*pgxpool.Conn
	for range conns - 2 {
		// The rollover may have one of the two in hand for a moment.
		eventually(t, func() bool {
			c, err := p.Acquire(t.Context())
			if err == nil {
				lent = append(lent, c)
			}
			return err == nil
		}, "the two that are left serve")
	}
	o.ends()
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
	var o outage
	cc := b.connConfig()
	cc.DialFunc = o.dial(cc.DialFunc)
	db := b.openDB(pool.Postgres(cc))
	const conns = 8
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	fillDB(t, db, conns-3)
	version := db.Refresher().Current().Version
	o.begins(db.Refresher())
	b.newUser()
	eventually(t, func() bool { return db.Health().Generation == 2 && db.Stats().InUse == 2 }, "two have left and cannot be replaced")
	o.ends()
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
	var o outage
	config.ConnConfig.DialFunc = o.dial(config.ConnConfig.DialFunc)
	p := b.openConfig(config, nil)
	fill(t, p, 2)
	o.begins(p.Refresher())
	b.newPoorUser("select (id) on orders")
	eventually(t, func() bool { return p.Stat().TotalConns() == 0 && sockets(p) == 2 }, "both have left and cannot be replaced")
	began := time.Now()
	eventually(t, func() bool { return time.Since(began) > 2*time.Second }, "it slows down")
	o.ends()
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
