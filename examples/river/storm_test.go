package riverorders_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/orders/orderstest"
	"github.com/rekey-go/rekey/pool"
)

func TestOrdersAreShippedOnceWhileRiverPolls(t *testing.T) {
	storm(t, func(t *testing.T, w addWorker) *shop { return open(t, w) }, func(t *testing.T, s *shop) {
		require.Empty(t, s.log.all(), "River has noticed nothing")
	})
}

func TestOrdersAreShippedOnceWhileRiverListens(t *testing.T) {
	storm(t, func(t *testing.T, w addWorker) *shop { return listening(t, time.Millisecond, 0, w) }, func(t *testing.T, s *shop) {
		cut, lines := s.queue.Health().Severed, s.log.all()
		require.Positive(t, cut)
		require.Zero(t, s.db.Health().Severed, "nobody else is cut")
		ofNotifier := 0
		for _, line := range lines {
			if strings.Contains(line, "Notifier: ") {
				ofNotifier++
			}
		}
		require.Positive(t, ofNotifier, "River says so")
		t.Logf("%d listeners cut; River logged %d lines, %d of them by its notifier", cut, len(lines), ofNotifier)
	})
}

// tick is a job that comes again and again.
type tick struct{}

func (tick) Kind() string { return "tick" }

// storm has orders placed and shipped through twenty rotations.
func storm(t *testing.T, open func(*testing.T, addWorker) *shop, check func(*testing.T, *shop)) {
	var ticks atomic.Int64
	s := open(t, func(workers *river.Workers, db *pool.ManagedPool) {
		river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, _ *river.Job[tick]) error {
			ticks.Add(1)
			return db.Ping(ctx)
		}))
	})
	s.jobs.PeriodicJobs().Add(river.NewPeriodicJob(river.PeriodicInterval(200*time.Millisecond),
		func() (river.JobArgs, *river.InsertOpts) { return tick{}, nil }, nil))
	goesOn := func() {
		before := ticks.Load()
		eventually(t, "the periodic job goes on", func() bool { return ticks.Load() > before+1 })
	}
	goesOn()
	leader := s.leader(t)

	orderstest.Storm(t, s.Server, s.store, s.db, s.queue)
	n := s.shipped(t)
	goesOn()
	require.Equal(t, leader, s.leader(t), "the same one has led all the time")
	s.flawless(t)
	t.Logf("%d orders, each shipped once; the periodic job ran %d times; no attempt of a job failed", n, ticks.Load())
	check(t, s)
}

// leader says who leads River's clients, and since when.
func (s *shop) leader(t *testing.T) (leader string) {
	t.Helper()
	require.NoError(t, s.admin.QueryRow(t.Context(),
		"select leader_id || ' since ' || elected_at from river_leader where expires_at > now()").Scan(&leader))
	return leader
}
