package riverorders_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/examples/orders"
	riverorders "github.com/rekey-go/rekey/examples/river"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/pooltest"
	"github.com/rekey-go/rekey/refresh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// A shop is the service of a test: its database, its pools, its workers.
type shop struct {
	*pooltest.Server
	db    *pool.ManagedPool // for orders and their shipment
	queue *pool.ManagedPool // for River; db, unless River listens
	jobs  *river.Client[pgx.Tx]
	store *riverorders.Store
	log   *log
	admin *pgxpool.Pool // who sees everything

	group   string // owns the tables
	next    string // the user that newUser makes
	listens int    // the session that was last seen to listen
}

// drain is how long a listener may stay where it is cut.
const drain = 2 * time.Second

// open opens a shop whose River polls.
func open(t *testing.T, extra ...addWorker) *shop {
	t.Helper()
	s := migrated(t)
	s.db = s.openPool(t, nil)
	s.queue = s.db
	s.start(t, river.Config{PollOnly: true}, extra...)
	return s
}

func (s *shop) openPool(t *testing.T, opts *pool.Options) *pool.ManagedPool {
	t.Helper()
	db, err := pool.Open(t.Context(), s.DSN()+"&pool_max_conns=8", s.Store(), opts)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db
}

// listening opens a shop whose River listens, on a pool of its own, and polls
// at the given interval.
func listening(t *testing.T, overstay, poll time.Duration, extra ...addWorker) *shop {
	t.Helper()
	s := migrated(t)
	r, err := refresh.New(t.Context(), s.Store(), &refresh.Options{Drain: drain})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	open := func(conns string, overstay time.Duration) *pool.ManagedPool {
		config, err := pgxpool.ParseConfig(s.DSN() + "&pool_max_conns=" + conns)
		require.NoError(t, err)
		db, err := pool.New(t.Context(), config, r, &pool.Options{Overstay: overstay})
		require.NoError(t, err)
		t.Cleanup(db.Close)
		return db
	}
	s.db, s.queue = open("8", 0), open("4", overstay)
	s.start(t, river.Config{FetchPollInterval: poll}, extra...)
	return s
}

func migrated(t *testing.T) *shop {
	t.Helper()
	s := &shop{Server: pooltest.Postgres(t)}
	s.Exec(t, orders.Schema)
	owner, err := pgxpool.New(t.Context(), s.OwnerDSN())
	require.NoError(t, err)
	defer owner.Close()
	require.NoError(t, riverorders.Migrate(t.Context(), owner))

	config, err := pgxpool.ParseConfig(s.OwnerDSN())
	require.NoError(t, err)
	delete(config.ConnConfig.RuntimeParams, "options") // to act as the owner
	s.admin, err = pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(s.admin.Close)

	require.NoError(t, owner.QueryRow(t.Context(), "select current_user").Scan(&s.group))
	first, err := s.Store().Credential(t.Context())
	require.NoError(t, err)
	s.next = first.Username + "_next"
	t.Cleanup(func() { s.do(t, "drop role if exists "+s.next) })
	return s
}

func (s *shop) start(t *testing.T, config river.Config, extra ...addWorker) {
	t.Helper()
	s.jobs, s.log = start(t, s.db, s.queue, config, extra...)
	s.store = riverorders.New(s.db, s.jobs)
}

// addWorker adds a worker of a test's own, who works on db.
type addWorker func(workers *river.Workers, db *pool.ManagedPool)

// start has River work until the test ends.
func start(t *testing.T, db, queue *pool.ManagedPool, config river.Config, extra ...addWorker) (*river.Client[pgx.Tx], *log) {
	t.Helper()
	log := &log{began: time.Now()}
	config.Logger = slog.New(log)
	config.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 20}}
	config.Workers = riverorders.Workers(db)
	for _, add := range extra {
		add(config.Workers, db)
	}
	jobs, err := river.NewClient(riverpgxv5.New(queue.Pool), &config)
	require.NoError(t, err)
	require.NoError(t, jobs.Start(context.WithoutCancel(t.Context())))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, jobs.Stop(ctx))
	})
	return jobs, log
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick, late := time.NewTicker(10*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not so after %v: %s", patience, what)
		}
	}
}

// within is the time that anything may take.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// do runs SQL as the administrator.
func (s *shop) do(t *testing.T, sql string) {
	t.Helper()
	_, err := s.admin.Exec(context.WithoutCancel(t.Context()), sql)
	require.NoError(t, err)
}

// count asks for a number.
func (s *shop) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, s.admin.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// shipped fails the test unless all orders get shipped, each by one attempt of
// one job. It returns their number.
func (s *shop) shipped(t *testing.T) int {
	t.Helper()
	placed := s.count(t, "select count(*) from orders")
	eventually(t, "all jobs are completed", func() bool {
		return s.count(t, "select count(*) from river_job where kind = 'ship' and state <> 'completed'") == 0
	})
	require.Equal(t, placed, s.count(t, "select count(*) from river_job where kind = 'ship'"), "a job for each order")
	require.Equal(t, placed, s.count(t, "select count(*) from shipments"), "a shipment for each order")
	s.flawless(t)
	return placed
}

// flawless fails the test if any attempt of any job has failed.
func (s *shop) flawless(t *testing.T) {
	t.Helper()
	rows, err := s.admin.Query(t.Context(), "select kind || ', attempt ' || attempt || ': ' || coalesce(errors[1]::text, '') from river_job where attempt > 1 or errors is not null")
	require.NoError(t, err)
	failed, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Empty(t, failed)
}

// A log keeps River's warnings and errors.
type log struct {
	began time.Time

	mu    sync.Mutex
	lines []string
}

func (l *log) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (l *log) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *log) WithGroup(string) slog.Handler                    { return l }

func (l *log) Handle(_ context.Context, r slog.Record) error {
	line := time.Since(l.began).Round(time.Millisecond).String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

// all returns what was logged so far.
func (l *log) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}
