package dialertest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// No statement fails while users and passwords change in turn.
func checkRotations(t *testing.T, b *bench) {
	db := b.open()
	const conns, rotations = 4, 8
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	var n atomic.Int64
	l := load.Start(t.Context(), 6, func(ctx context.Context) error {
		var user string
		switch n.Add(1) % 3 {
		case 0:
			_, err := db.ExecContext(ctx, b.SQL.Insert, "storm", 1)
			return err
		case 1:
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			return errors.Join(tx.QueryRowContext(ctx, b.SQL.User).Scan(&user), tx.Commit())
		}
		return db.QueryRowContext(ctx, b.SQL.User).Scan(&user)
	})
	for i := range rotations {
		version := db.Refresher().Current().Version
		if i%2 == 0 {
			b.newPassword()
			require.NoError(t, db.Drained(within(t, patience), version))
			continue
		}
		old := b.newUser()
		require.NoError(t, db.Drained(within(t, patience), version))
		eventually(t, func() bool { return b.Sessions(old) == 0 }, "the server has seen them leave")
		b.DropUser(old)
	}
	r := l.Stop()
	t.Logf("%+v %+v", r, db.Health())
	require.NoError(t, r.Err)
	require.Greater(t, r.Statements, int64(rotations))
	eventually(t, func() bool { return b.Sessions(b.user) == sockets(db) }, "as many sockets as sessions")
}

// Each login sends the user name and the password of the same credential.
func checkOneSnapshot(t *testing.T, b *bench) {
	users := []string{b.user, b.User("other")}
	b.CreateUser(users[1], "of the other")
	var n atomic.Int64
	src := source.Func(func(context.Context) (source.Credential, error) {
		if n.Add(1)%2 == 0 {
			return source.Credential{Username: users[1], Password: source.NewSecret("of the other")}, nil
		}
		return source.Credential{Username: users[0], Password: source.NewSecret(b.password())}, nil
	})
	db := b.openWith(b.Dialer, src)
	db.SetMaxIdleConns(-1) // a login for each statement
	l := load.Start(t.Context(), 4, func(ctx context.Context) error {
		var user string
		return db.QueryRowContext(ctx, b.SQL.User).Scan(&user)
	})
	for range 20 {
		require.NoError(t, db.Refresher().Refresh(t.Context()))
		require.Contains(t, users, b.sessionUser(db))
	}
	r := l.Stop()
	require.NoError(t, r.Err)
	require.Zero(t, db.Health().LoginsRejected)
	require.Equal(t, uint64(21), db.Health().Generation)
}

// A login that the database rejects, because the store follows later or nobody
// has said so, is repeated after one fetch. The caller sees nothing of it.
func checkRejectedLogin(t *testing.T, b *bench) {
	db := b.open()
	fill(t, db, 2)
	db.SetMaxIdleConns(-1) // the next statement needs a login
	b.n++
	b.SetPassword(b.user, b.password())
	b.follow()
	calls := b.store.Calls()
	require.Equal(t, b.user, b.sessionUser(db))
	require.Equal(t, calls+1, b.store.Calls(), "fetches")
	h := db.Health()
	require.EqualValues(t, 1, h.LoginsRejected)
	require.Equal(t, "v1", h.Version)

	b.DropUser(b.user) // and with a user who is gone
	b.n++
	b.user = b.User("second")
	b.CreateUser(b.user, b.password())
	b.follow()
	require.Equal(t, b.user, b.sessionUser(db))
	require.Equal(t, calls+2, b.store.Calls(), "fetches")
}

// A credential that does not work is never given to callers.
func checkUnfitCredential(t *testing.T, b *bench) {
	db := b.open()
	fill(t, db, 1)
	b.store.Set(source.Credential{Username: b.user, Password: source.NewSecret("wrong"), Version: "wrong"})
	require.ErrorIs(t, db.Refresher().Refresh(t.Context()), refresh.ErrRejected)
	require.Equal(t, "v0", db.Health().Version)
	db.SetMaxIdleConns(-1)
	for range 3 {
		require.Equal(t, b.user, b.sessionUser(db))
	}
	require.Zero(t, db.Health().LoginsRejected)

	_, err := pool.OpenDB(t.Context(), b.Dialer, b.refresher(source.Static(b.user, source.NewSecret("wrong"))), nil)
	require.ErrorIs(t, err, refresh.ErrRejected)
}

// Drained returns when the last socket of a credential is closed and not
// before.
func checkDrained(t *testing.T, b *bench) {
	db := b.open()
	fill(t, db, 4)
	held, err := db.Conn(t.Context())
	require.NoError(t, err)
	tx, err := held.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	old := b.newUser()
	eventually(t, func() bool { return db.Health().Connections[1] == 1 && db.Health().Generation == 2 }, "all but the lent one leave")
	eventually(t, func() bool { return b.Sessions(old) == 1 }, "as the server sees it")
	require.ErrorIs(t, db.Drained(within(t, 50*time.Millisecond), "v0"), context.DeadlineExceeded)
	_, err = tx.ExecContext(t.Context(), b.SQL.Insert, "drained", 1)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	require.Equal(t, old, b.sessionUser(held))
	require.NoError(t, held.Close())
	require.NoError(t, db.Drained(within(t, patience), "v0"))
	require.Zero(t, db.Health().Connections[1])
	eventually(t, func() bool { return b.Sessions(old) == 0 }, "as the server sees it")
	b.DropUser(old)
	require.Equal(t, b.user, b.sessionUser(db))
}

// A connection whose credential has ended is never lent, neither an idle one
// nor one that comes back.
func checkDeadline(t *testing.T, b *bench) {
	var fetched atomic.Bool
	away := make(chan struct{})
	user, password := b.user, b.password()
	next := b.User("next")
	b.CreateUser(next, "of the next")
	src := source.Func(func(ctx context.Context) (source.Credential, error) {
		if fetched.Swap(true) {
			select {
			case <-away:
			case <-ctx.Done():
				return source.Credential{}, ctx.Err()
			}
			return source.Credential{Username: next, Password: source.NewSecret("of the next")}, nil
		}
		return source.Credential{
			Username: user, Password: source.NewSecret(password),
			Expires: time.Now().Add(2 * time.Second), EndsSessions: true,
		}, nil
	})
	db := b.openWith(b.Dialer, src)
	fill(t, db, 3)
	held, err := db.Conn(t.Context())
	require.NoError(t, err)
	eventually(t, func() bool { return db.Health().State == refresh.Expired }, "it ends")
	eventually(t, func() bool { return db.Health().Connections[1] == 1 }, "idle connections leave by themselves")
	require.Equal(t, 1, db.Health().Overstaying)
	require.Equal(t, user, b.sessionUser(held), "nobody cuts a lent one")
	require.NoError(t, held.Close())
	eventually(t, func() bool { return sockets(db) == 0 && b.Sessions(user) == 0 }, "one that comes back does not stay")
	require.ErrorIs(t, db.PingContext(within(t, 20*time.Millisecond)), refresh.ErrExpired)
	close(away)
	require.Equal(t, next, b.sessionUser(db))
}

// Sessions that the server ends are counted out, and the next ones are good.
func checkEndedSessions(t *testing.T, b *bench) {
	db := b.open()
	fill(t, db, 3)
	eventually(t, func() bool { return b.Sessions(b.user) == 3 }, "all are there")
	require.Equal(t, 3, b.EndSessions(b.user))
	eventually(t, func() bool { return b.Sessions(b.user) == 0 }, "none is left")
	eventually(t, func() bool { return all(t, b, db, 3) && sockets(db) == 3 && b.Sessions(b.user) == 3 }, "all are replaced")
	require.Zero(t, db.Health().LoginsRejected)
}

// all takes n connections at once and reports whether all of them are good.
func all(t *testing.T, b *bench, db *pool.ManagedDB, n int) bool {
	t.Helper()
	good := true
	for range n {
		c, err := db.Conn(within(t, patience))
		require.NoError(t, err)
		defer func() { _ = c.Close() }() // it may be a bad one
		var user string
		good = c.QueryRowContext(t.Context(), b.SQL.User).Scan(&user) == nil && good
	}
	return good
}
