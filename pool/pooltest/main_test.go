package pooltest_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/pooltest"
	"github.com/rekey-go/rekey/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Suite{Runner: m}) }

// A recorder is the test of somebody else, which may fail.
type recorder struct {
	testing.TB
	end time.Time

	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func (r *recorder) Deadline() (time.Time, bool) { return r.end, true }

func (r *recorder) Error(args ...any) { r.Errorf("%s", fmt.Sprint(args...)) }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	r.exit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	r.exit()
}

func (r *recorder) FailNow() { r.Fatal("FailNow") }

// stopped is how exit leaves the function that is run.
type stopped struct{}

func (r *recorder) exit() { panic(stopped{}) }

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

// failing runs f as a test that has two seconds for its waits, and returns why it
// failed.
func failing(t testing.TB, f func(testing.TB)) string {
	t.Helper()
	why := attempt(t, 3*time.Second, f)
	require.NotEmpty(t, why, "it cannot fail")
	return why
}

// passing runs f as a test that passes.
func passing(t testing.TB, f func(testing.TB)) {
	t.Helper()
	require.Empty(t, attempt(t, time.Minute, f))
}

// attempt runs f as a test, cleans up after it and returns its failures.
func attempt(t testing.TB, within time.Duration, f func(testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t, end: time.Now().Add(within)}
	func() {
		defer func() {
			if p := recover(); p != nil && p != (stopped{}) {
				panic(p)
			}
		}()
		f(r)
	}()
	return r.over()
}

// over cleans up and returns the failures.
func (r *recorder) over() string {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	return strings.Join(r.failures, "\n")
}

// quiet are the options of a pool in a test.
func quiet() *pool.Options { return &pool.Options{Logger: slog.New(slog.DiscardHandler)} }

// postgres is a database on the server that these tests share.
func postgres(t testing.TB) *pooltest.Server {
	t.Helper()
	t.Setenv(pgserver.EnvDSN, pgtest.Server(t).DSN())
	return pooltest.Postgres(t)
}

// open opens a pool of four connections.
func open(t testing.TB, srv *pooltest.Server, src source.Source) *pool.ManagedPool {
	t.Helper()
	db, err := pool.Open(t.Context(), srv.DSN()+"&pool_max_conns=4", src, quiet())
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db
}

// place is the service's statement: it needs the rights of the owner.
func place(ctx context.Context, db *pool.ManagedPool) error {
	_, err := db.Exec(ctx, "insert into orders (item) values ('tea')")
	return err
}

const orders = "create table orders (id bigserial primary key, item text)"
