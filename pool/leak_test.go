package pool_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
)

// heap is what is in use after the garbage is gone.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers and pools have let go of
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestF25HundredRotationsFailAndLeakNothing(t *testing.T) {
	b := newBench(t)
	b.store.TTL(time.Hour)                                  // each credential comes with a lease
	p := b.open(3, &pool.Options{Canary: time.Millisecond}) // or the last lease is kept for a while
	fill(t, p, 3)
	raw := p.Pool
	ignore := goleak.IgnoreCurrent()
	l := load.Start(t.Context(), 1, func(ctx context.Context) error { return selectOne(ctx, p) })
	var before uint64
	for i := range 100 {
		version := p.Refresher().Current().Version
		if i%4 == 3 {
			old := b.newUser()
			require.NoError(t, p.Drained(within(t, patience), version))
			b.DropUser(old)
		} else {
			b.newPassword()
			require.NoError(t, p.Drained(within(t, patience), version))
		}
		if i == 20 { // by now everything has reached its size
			before = heap()
		}
	}
	report := l.Stop()
	t.Logf("%+v %+v", report, p.Health())
	require.NoError(t, report.Err)
	calm(t, p)
	require.Same(t, raw, p.Pool)
	require.LessOrEqual(t, sockets(p), 3)
	eventually(t, func() bool { return b.Sessions(b.user) == sockets(p) }, "as the server sees it")
	eventually(t, func() bool { return p.Health().LiveLeases == 1 }, "as the store sees it")
	require.LessOrEqual(t, p.Health().Logins, uint64(100*(3+2)), "each connection was exchanged about once")
	after := heap()
	require.Less(t, after, before+2<<20, "%d KiB before, %d KiB after 80 more rotations", before>>10, after>>10)
	require.NoError(t, goleak.Find(ignore))
}

func TestPoolCostsLittleBesideTheRawPool(t *testing.T) {
	b := newBench(t)
	r := b.refresher(nil)
	const pools = 40
	cost := func(open func() func()) (bytes, goroutines int) {
		before, routines := heap(), runtime.NumGoroutine()
		var closers []func()
		for range pools {
			closers = append(closers, open())
		}
		bytes = (int(heap()) - int(before)) / pools
		goroutines = (runtime.NumGoroutine() - routines) / pools
		for _, c := range closers {
			c()
		}
		return bytes, goroutines
	}
	config := b.config(16)
	raw := func() func() {
		p, err := pgxpool.NewWithConfig(t.Context(), config)
		require.NoError(t, err)
		return p.Close
	}
	managed := func() func() {
		p, err := pool.New(t.Context(), config, r, &pool.Options{Logger: logger(t)})
		require.NoError(t, err)
		return p.Close
	}
	managed()() // what is made once
	rawBytes, rawRoutines := cost(raw)
	bytes, routines := cost(managed)
	t.Logf("raw: %d bytes, %d goroutines; managed: %d bytes, %d goroutines", rawBytes, rawRoutines, bytes, routines)
	require.LessOrEqual(t, bytes-rawBytes, 32<<10)
	require.LessOrEqual(t, routines-rawRoutines, 2)
}
