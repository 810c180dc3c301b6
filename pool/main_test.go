package pool_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(suite{m}) }

// A suite closes the servers that its tests and examples have shared.
type suite struct{ *testing.M }

func (s suite) Run() int {
	code := pgtest.Suite{Runner: s.M}.Run()
	return max(code, closeExampleServer())
}

// A bench is a database with one user, a scripted store that knows its
// password, and a refresher over it.
type bench struct {
	*pgtest.DB
	t     testing.TB
	store *sourcetest.Script
	user  string
	n     int
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{DB: pgtest.Database(t), t: t, store: sourcetest.NewScript()}
	b.user = b.Role("app")
	b.CreateUser(b.user, b.password())
	b.publish()
	return b
}

func (b *bench) password() string { return fmt.Sprintf("pässword '%d' @/:#%%", b.n) }

// publish has the store hold the current user and password.
func (b *bench) publish() {
	b.store.Set(source.Credential{Username: b.user, Password: source.NewSecret(b.password()), Version: fmt.Sprintf("v%d", b.n)})
	b.store.Changed()
}

// newPassword changes the password of the same user: database first, store
// second.
func (b *bench) newPassword() {
	b.n++
	b.SetPassword(b.user, b.password())
	b.publish()
}

// newUser makes a user for the next credential. The caller drops the old one.
func (b *bench) newUser() (old string) {
	b.n++
	old = b.user
	b.user = b.Role(fmt.Sprintf("app%d", b.n))
	b.CreateUser(b.user, b.password())
	b.publish()
	return old
}

func (b *bench) refresher(opts *refresh.Options) *refresh.Refresher {
	b.t.Helper()
	if opts == nil {
		opts = &refresh.Options{}
	}
	if opts.Logger == nil {
		opts.Logger = logger(b.t)
	}
	r, err := refresh.New(b.t.Context(), b.store, opts)
	require.NoError(b.t, err)
	b.t.Cleanup(r.Close)
	return r
}

// open makes a pool of maxConns connections with a refresher of its own.
func (b *bench) open(maxConns int, opts *pool.Options) *pool.ManagedPool {
	b.t.Helper()
	if opts == nil {
		opts = &pool.Options{}
	}
	if opts.Logger == nil {
		opts.Logger = logger(b.t)
	}
	if opts.Refresh == nil {
		opts.Refresh = &refresh.Options{Logger: opts.Logger}
	}
	p, err := pool.Open(b.t.Context(), fmt.Sprintf("%s&pool_max_conns=%d", b.DSN, maxConns), b.store, opts)
	require.NoError(b.t, err)
	b.t.Cleanup(p.Close)
	return p
}

func logger(t testing.TB) *slog.Logger {
	if os.Getenv("REKEY_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
