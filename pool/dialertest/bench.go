package dialertest

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/sourcetest"
)

// patience bounds waits, which end long before on any machine that is not
// stuck.
const patience = 30 * time.Second

// A bench is a harness with one user and a scripted store that knows the
// password.
type bench struct {
	Harness
	t     *testing.T
	store *sourcetest.Script
	user  string
	n     int
}

func newBench(t *testing.T, h Harness) *bench {
	t.Helper()
	b := &bench{Harness: h, t: t, store: sourcetest.NewScript()}
	b.user = b.User("app")
	b.CreateUser(b.user, b.password())
	b.publish()
	return b
}

func (b *bench) password() string { return fmt.Sprintf("pässword '%d' @/:#%%", b.n) }

// publish has the store hold the current user and password.
func (b *bench) publish() {
	b.follow()
	b.store.Changed()
}

// follow is publish without saying so.
func (b *bench) follow() {
	b.store.Set(source.Credential{Username: b.user, Password: source.NewSecret(b.password()), Version: fmt.Sprintf("v%d", b.n)})
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
	b.user = b.User(fmt.Sprintf("app%d", b.n))
	b.CreateUser(b.user, b.password())
	b.publish()
	return old
}

func (b *bench) refresher(src source.Source) *refresh.Refresher {
	b.t.Helper()
	r, err := refresh.New(b.t.Context(), src, &refresh.Options{Margin: -1, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b.t, err)
	b.t.Cleanup(r.Close)
	return r
}

// open makes a DB with a refresher of its own over the store.
func (b *bench) open() *pool.ManagedDB { return b.openWith(b.Dialer, b.store) }

func (b *bench) openWith(d pool.Dialer, src source.Source) *pool.ManagedDB {
	b.t.Helper()
	db, err := pool.OpenDB(b.t.Context(), d, b.refresher(src), &pool.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = db.Close() }) // a test that wants to know has closed it
	return db
}

// snapshot is the credential of a user as a dialer is given it.
func snapshot(user, password string) refresh.Snapshot {
	return refresh.Snapshot{Credential: source.Credential{Username: user, Password: source.NewSecret(password)}}
}

// verify has the dialer log in with a credential that the store does not have.
func (b *bench) verify(user, password string) error {
	return b.Dialer.Verify(within(b.t, patience), snapshot(user, password), &pool.Options{})
}

// sessionUser is whom the server takes a connection for.
func (b *bench) sessionUser(db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
},
) (user string) {
	b.t.Helper()
	require.NoError(b.t, db.QueryRowContext(within(b.t, patience), b.SQL.User).Scan(&user))
	return user
}

// fill makes n connections and leaves them idle.
func fill(t *testing.T, db *pool.ManagedDB, n int) {
	t.Helper()
	db.SetMaxIdleConns(n)
	var conns []*sql.Conn
	for range n {
		c, err := db.Conn(within(t, patience))
		require.NoError(t, err)
		conns = append(conns, c)
	}
	for _, c := range conns {
		require.NoError(t, c.Close())
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, condition func() bool, what string, args ...any) {
	t.Helper()
	require.Eventually(t, condition, patience, 2*time.Millisecond, append([]any{what}, args...)...)
}

// sockets counts the open sockets of a DB.
func sockets(db *pool.ManagedDB) (n int) {
	for _, m := range db.Health().Connections {
		n += m
	}
	return n
}
