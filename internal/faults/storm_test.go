package faults_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/faults"
	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/internal/storm/rotation"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source/file"
)

const (
	clients  = 16
	maxConns = 8
	pace     = 2 // the default
	patience = time.Minute
)

// managed is what both kinds of pool have.
type managed interface {
	Health() pool.Health
	Drained(ctx context.Context, version string) error
	Refresher() *refresh.Refresher
}

// A design is one kind of pool, opened through the proxy.
type design struct {
	name string
	open func(t *testing.T, dsn string, w *faults.Witness, r *refresh.Refresher, opts *pool.Options) (managed, func(context.Context) error)
}

var designs = []design{{"ManagedPool", openPool}, {"ManagedDB", openDB}}

func openPool(t *testing.T, dsn string, w *faults.Witness, r *refresh.Refresher, opts *pool.Options) (managed, func(context.Context) error) {
	config, err := pgxpool.ParseConfig(dsn)
	require.NoError(t, err)
	config.MaxConns = maxConns
	config.ConnConfig.Tracer = w
	p, err := pool.New(t.Context(), config, r, opts)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p, func(ctx context.Context) error {
		var sum int
		return p.QueryRow(ctx, "select $1::int + $2::int", 1, 2).Scan(&sum)
	}
}

func openDB(t *testing.T, dsn string, w *faults.Witness, r *refresh.Refresher, opts *pool.Options) (managed, func(context.Context) error) {
	config, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	config.Tracer = w
	db, err := pool.OpenDB(t.Context(), pool.Postgres(config), r, opts)
	require.NoError(t, err)
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db, func(ctx context.Context) error {
		var sum int
		return db.QueryRowContext(ctx, "select $1::int + $2::int", 1, 2).Scan(&sum)
	}
}

// A storm is clients that never stop and rotations that never stop, on a pool
// behind a proxy.
type storm struct {
	t        *testing.T
	server   *pgserver.Server
	proxy    faults.Proxy
	rotation *rotation.Rotation
	pool     managed
	witness  *faults.Witness

	loads []*load.Load
	last  [clients]faults.Progress // of each client

	// rotating is held while a rotation speaks to the server, and by those who
	// take the server away.
	rotating sync.Mutex
	rotated  chan struct{} // one slot: a rollover has just begun
	hasty    atomic.Bool   // rotate on although the pool does not follow
	stop     context.CancelFunc
	rotator  sync.WaitGroup
}

func startStorm(t *testing.T, d design, server *pgserver.Server) *storm {
	t.Helper()
	s := &storm{t: t, server: server, witness: faults.NewWitness(), rotated: make(chan struct{}, 1)}
	var err error
	s.rotation, err = rotation.New(t.Context(), server)
	require.NoError(t, err)
	t.Cleanup(s.rotation.CleanUp)
	t.Cleanup(func() {
		require.Eventually(t, func() bool { return s.sessions() == 0 }, patience, 10*time.Millisecond, "sessions are left")
	})
	host, port := server.Addr()
	s.proxy, err = faults.NewProxy("postgres", host+":"+strconv.Itoa(int(port)))
	require.NoError(t, err)
	t.Cleanup(s.proxy.Stop)

	logger := slog.New(slog.DiscardHandler)
	if os.Getenv("REKEY_TEST_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	r, err := refresh.New(t.Context(), file.JSON(s.rotation.File, nil), &refresh.Options{Logger: logger})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	u, err := url.Parse(server.AppDSN())
	require.NoError(t, err)
	u.Host = s.proxy.Listen
	var statement func(context.Context) error
	s.pool, statement = d.open(t, u.String(), s.witness, r, &pool.Options{Logger: logger})

	for i := range clients {
		s.loads = append(s.loads, load.Start(context.Background(), 1, func(ctx context.Context) error {
			begun := time.Now()
			err := s.witness.Watch(ctx, statement)
			if err != nil {
				pause(5 * time.Millisecond) // as clients do
				return err
			}
			s.last[i].Served(begun)
			return nil
		}))
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.rotator.Go(func() { s.rotate(ctx) })
	return s
}

// rotate rotates without an end: the next one begins when the pool has drained
// the credential before; in haste, after a quarter of a second if it does not
// come to that. A user is dropped when the pool has drained him.
func (s *storm) rotate(ctx context.Context) {
	type leaving struct {
		version string
		drop    func(context.Context) error
	}
	var users []leaving
	drain := func() {
		for began := time.Now(); len(users) > 0; {
			waiting, cancel := context.WithTimeout(context.Background(), 250*time.Millisecond)
			err := s.pool.Drained(waiting, users[0].version)
			cancel()
			if err != nil {
				if s.hasty.Load() {
					return
				}
				if time.Since(began) > patience {
					s.t.Errorf("a rotation is not completed: %+v", s.pool.Health())
					return
				}
				continue
			}
			if users[0].drop != nil {
				s.rotating.Lock()
				if err := users[0].drop(context.Background()); err != nil {
					s.t.Error(err)
				}
				s.rotating.Unlock()
			}
			users = users[1:]
		}
	}
	for ctx.Err() == nil {
		version := s.pool.Refresher().Current().Version
		s.rotating.Lock()
		drop, err := s.rotation.Next(context.Background())
		s.rotating.Unlock()
		if err != nil {
			s.t.Error(err)
			return
		}
		users = append(users, leaving{version, drop})
		select {
		case s.rotated <- struct{}{}:
		default:
		}
		drain()
	}
	s.hasty.Store(false)
	drain()
}

// rollover waits until another rollover has just begun.
func (s *storm) rollover() {
	s.t.Helper()
	select {
	case <-s.rotated: // perhaps long ago
	default:
	}
	select {
	case <-s.rotated:
	case <-time.After(patience):
		require.FailNow(s.t, "no rotation", fmt.Sprintf("%+v", s.pool.Health()))
	}
}

// recovered returns how long after a moment each client had a statement served
// that began after it.
func (s *storm) recovered(since time.Time) time.Duration {
	s.t.Helper()
	for i := range s.last {
		s.last[i].Ask(since)
	}
	var latest time.Duration
	for i := range s.last {
		p := &s.last[i]
		require.Eventually(s.t, func() bool { return !p.First().IsZero() }, patience, time.Millisecond, "client %d is served again", i)
		latest = max(latest, p.First().Sub(since))
	}
	return latest
}

// sessions counts the sessions that the server has of the pool.
func (s *storm) sessions() (n int) {
	s.t.Helper()
	ctx := context.Background() // also while the test is cleaned up
	require.NoError(s.t, s.server.Do(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select count(*) from pg_stat_activity where starts_with(usename, $1)", s.rotation.Group()+"_").Scan(&n)
	}))
	return n
}

// rotations returns how often has been rotated.
func (s *storm) rotations() int {
	s.rotating.Lock()
	defer s.rotating.Unlock()
	return s.rotation.Done()
}

// end stops clients and rotations and returns the number of statements.
func (s *storm) end() (statements int64) {
	s.stop()
	s.rotator.Wait()
	for _, l := range s.loads {
		statements += l.Stop().Statements
	}
	return statements
}

func pause(d time.Duration) { <-time.After(d) }
