package dialertest

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// Errors of a login are told apart, also when they are wrapped.
func checkClassify(t *testing.T, b *bench) {
	require.NoError(t, b.verify(b.user, b.password()))
	other := b.User("other")
	for name, err := range map[string]error{
		"wrong password": b.verify(b.user, "wrong"),
		"empty password": b.verify(b.user, ""),
		"unknown user":   b.verify(other, b.password()),
	} {
		require.Error(t, err, name)
		require.Equal(t, pool.Rejected, b.Dialer.Classify(err), "%s: %v", name, err)
		wrapped := errors.Join(errors.New("one"), fmt.Errorf("two: %w", err))
		require.Equal(t, pool.Rejected, b.Dialer.Classify(wrapped), name)
	}
	p := newProxy(t, b.Address)
	address := p.address()
	require.NoError(t, p.listener.Close())
	err := b.At(address).Verify(t.Context(), snapshot(b.user, b.password()), &pool.Options{})
	require.Error(t, err)
	require.NotErrorIs(t, err, refresh.ErrRejected)
	require.Equal(t, pool.Unrelated, b.Dialer.Classify(err))
	require.Equal(t, pool.Unrelated, b.Dialer.Classify(nil))

	db := b.open()
	b.Revoke(b.user)
	_, err = db.ExecContext(t.Context(), b.SQL.Insert, "x", 1)
	require.Error(t, err)
	_, err = db.ExecContext(t.Context(), "selectt")
	require.Error(t, err)
	require.Equal(t, pool.Unrelated, b.Dialer.Classify(err))
}

// Passwords reach the server unchanged, whatever is in them.
func checkOddPasswords(t *testing.T, b *bench) {
	db := b.open()
	db.SetMaxIdleConns(-1)
	for name, password := range Odd() {
		t.Run(name, func(t *testing.T) {
			password := b.possible(password)
			b.SetPassword(b.user, password)
			b.store.Set(source.Credential{Username: b.user, Password: source.NewSecret(password), Version: name})
			require.NoError(t, db.Refresher().Refresh(t.Context()))
			require.Equal(t, name, db.Health().Version)
			require.NoError(t, db.PingContext(t.Context()))
		})
	}
	require.Zero(t, db.Health().LoginsRejected)
}

// possible makes a text one that can be a password here.
func (b *bench) possible(text string) string {
	if b.Password == nil {
		return text
	}
	return b.Password(text)
}

// And so do user names.
func checkOddUsers(t *testing.T, b *bench) {
	db := b.open()
	db.SetMaxIdleConns(-1)
	for name, text := range Odd() {
		t.Run(name, func(t *testing.T) {
			user, password := b.User(text), b.possible("password of "+text)
			b.CreateUser(user, password)
			b.store.Set(source.Credential{Username: user, Password: source.NewSecret(password), Version: name})
			require.NoError(t, db.Refresher().Refresh(t.Context()))
			require.Equal(t, name, db.Health().Version)
			require.Equal(t, user, b.sessionUser(db))
		})
	}
	require.Zero(t, db.Health().LoginsRejected)
}

// probe asks on the driver's connection, as the pool does.
func probe(t *testing.T, p pool.Prober, conn *sql.Conn) (err error) {
	_ = conn.Raw(func(raw any) error {
		err = p.Probe(t.Context(), raw.(driver.Conn))
		return nil
	})
	return err
}

// The probe finds out that a session's user has been dropped.
func checkProbe(t *testing.T, b *bench) {
	prober, ok := b.Dialer.(pool.Prober)
	if !ok {
		t.Logf("a %T is no pool.Prober", b.Dialer)
		return
	}
	db := b.open()
	db.SetMaxIdleConns(-1)
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, probe(t, prober, conn))
	b.newPassword()
	require.NoError(t, probe(t, prober, conn), "another password is no other user")
	require.Equal(t, b.user, b.sessionUser(conn), "the probe leaves a good session behind")
	b.DropUser(b.user)
	require.ErrorIs(t, probe(t, prober, conn), pool.ErrDisowned)
	require.NoError(t, conn.Close())

	b.CreateUser(b.user, b.password()) // for the check of the end
	conn, err = db.Conn(t.Context())
	require.NoError(t, err)
	b.EndSessions(b.user)
	err = probe(t, prober, conn)
	require.Error(t, err)
	require.NotErrorIs(t, err, pool.ErrDisowned, "a session that has ended says nothing about its user")
	_ = conn.Close() // it is broken
}

// LostRights names what a user may do that another may not, and nothing else.
func checkLostRights(t *testing.T, b *bench) {
	comparer, ok := b.Dialer.(pool.RightsComparer)
	if !ok {
		t.Logf("a %T is no pool.RightsComparer", b.Dialer)
		return
	}
	next := b.User("next")
	b.CreateUser(next, "of the next")
	from, to := snapshot(b.user, b.password()), snapshot(next, "of the next")
	lost, err := comparer.LostRights(t.Context(), from, to)
	require.NoError(t, err)
	require.Empty(t, lost)
	require.NotNil(t, lost)

	b.Revoke(next)
	lost, err = comparer.LostRights(t.Context(), from, to)
	require.NoError(t, err)
	require.Regexp(t, `(?im)\binsert\b.*orders`, strings.Join(lost, "\n"))
	for _, l := range lost {
		require.NotContains(t, l, b.user)
		require.NotContains(t, l, next)
	}
	back, err := comparer.LostRights(t.Context(), to, from)
	require.NoError(t, err)
	require.Empty(t, back, "rights that are gained")

	_, err = comparer.LostRights(t.Context(), from, snapshot(next, "wrong"))
	require.Equal(t, pool.Rejected, b.Dialer.Classify(err))
	eventually(t, func() bool { return b.Sessions(next)+b.Sessions(b.user) == 0 }, "its sessions are closed")
}
