package riverorders_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

// stocktake is a job that takes long. What comes of it is an order.
type stocktake struct{}

func (stocktake) Kind() string { return "stocktake" }

// write writes down what came of it and completes the job.
func write(ctx context.Context, tx pgx.Tx, job *river.Job[stocktake]) error {
	if _, err := tx.Exec(ctx, "insert into orders (item, quantity) values ('coffee', 7)"); err != nil {
		return err
	}
	_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
	return err
}

// slowly is a worker who tells when it has begun and waits for its end.
type slowly struct{ began, end chan struct{} }

func newSlowly() slowly { return slowly{make(chan struct{}, 10), make(chan struct{})} }

func (w slowly) work(ctx context.Context) error {
	w.began <- struct{}{}
	select {
	case <-w.end:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// inTransaction works while it holds a transaction, beforeIt does not.
func (w slowly) inTransaction(workers *river.Workers, db *pool.ManagedPool) {
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[stocktake]) error {
		return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
			if err := w.work(ctx); err != nil {
				return err
			}
			return write(ctx, tx, job)
		})
	}))
}

func (w slowly) beforeIt(workers *river.Workers, db *pool.ManagedPool) {
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[stocktake]) error {
		if err := w.work(ctx); err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error { return write(ctx, tx, job) })
	}))
}

// takeStock begins a stocktake and waits until it is under way.
func (s *shop) takeStock(t *testing.T, w slowly) (since time.Time) {
	t.Helper()
	since = time.Now()
	_, err := s.jobs.Insert(t.Context(), stocktake{}, nil)
	require.NoError(t, err)
	select {
	case <-w.began:
	case <-within(t).Done():
		t.Fatal("nobody takes stock")
	}
	return since
}

// taken counts what stocktakes have written.
func (s *shop) taken(t *testing.T) int {
	t.Helper()
	return s.count(t, "select count(*) from orders where item = 'coffee'")
}

// A job that works without a connection is in nobody's way: it writes down with
// the credential that is current then.
func TestLongJobWithoutATransaction(t *testing.T) {
	w := newSlowly()
	s := open(t, w.beforeIt)
	since := s.takeStock(t, w)
	for range 3 {
		s.Rotate(t, s.db)
	}
	require.Zero(t, s.taken(t))
	t.Logf("6 rotations, each to its end, in the first %v of a job", time.Since(since).Round(10*time.Millisecond))
	close(w.end)
	eventually(t, "written", func() bool { return s.taken(t) == 1 })
	s.flawless(t)
}

// A job that holds a transaction keeps its session through any number of
// rotations, and one that drops its user waits.
func TestLongJobInATransaction(t *testing.T) {
	w := newSlowly()
	s := open(t, w.inTransaction)
	since := s.takeStock(t, w)
	was := s.db.Health()
	for n := range 3 {
		s.ChangePassword(t)()
		eventually(t, "the pool has moved, but for one connection", func() bool {
			h := s.db.Health()
			return h.Generation == was.Generation+uint64(n)+1 && len(h.Connections) == 2 && h.Connections[was.Generation] == 1
		})
	}
	changed := time.Since(since)
	const least = 5 * time.Second
	time.AfterFunc(least-changed, func() { close(w.end) })
	s.RotateUser(t, s.db)
	rotated := time.Since(since)
	require.Equal(t, 1, s.taken(t), "committed before its user was dropped")
	require.GreaterOrEqual(t, rotated, least)
	s.flawless(t)
	t.Logf("3 new passwords in the first %v of a transaction; the new user waited for its end and had taken over after %v",
		changed.Round(10*time.Millisecond), rotated.Round(10*time.Millisecond))
}

// Where replaced credentials have an end, a job that outlives it is reported
// and, if asked, cut: then River tries again, and what it wrote is there once.
func TestLongJobOutlivesItsCredential(t *testing.T) {
	for name, c := range map[string]struct {
		overstay time.Duration
		so       func(pool.Health) bool
		failed   int
	}{
		"reported": {0, func(h pool.Health) bool { return h.Overstaying == 1 }, 0},
		"cut":      {time.Millisecond, func(h pool.Health) bool { return h.Severed == 1 }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSlowly()
			s := migrated(t)
			s.db = s.openPool(t, &pool.Options{Refresh: &refresh.Options{Drain: 500 * time.Millisecond}, Overstay: c.overstay})
			s.queue = s.db
			s.start(t, river.Config{PollOnly: true}, w.inTransaction)
			s.takeStock(t, w)
			s.ChangePassword(t)()
			eventually(t, name, func() bool { return c.so(s.db.Health()) })
			close(w.end)
			eventually(t, "written", func() bool { return s.taken(t) == 1 })
			require.Equal(t, c.failed, s.count(t, "select coalesce(cardinality(errors), 0) from river_job where state = 'completed'"))
		})
	}
}
