package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/source"
)

func TestLock(t *testing.T) {
	t.Parallel()
	h := newHouse(t, pgtest.Server(t), "")
	config, w := h.config()
	unlock, err := postgres.Lock(config, "orders")(t.Context())
	require.NoError(t, err)
	_, err = postgres.Lock(config, "orders")(t.Context())
	require.ErrorIs(t, err, rotate.ErrRunning)
	other, err := postgres.Lock(config, "customers")(t.Context())
	require.NoError(t, err)
	other()
	unlock()
	for range 20 { // nobody comes too early after an unlock
		unlock, err := postgres.Lock(config, "orders")(t.Context())
		require.NoError(t, err)
		unlock()
	}
	up := w.Down(t)
	_, err = postgres.Lock(config, "orders")(t.Context())
	require.ErrorContains(t, err, "the network is down")
	require.NotErrorIs(t, err, rotate.ErrRunning)
	up()
}

// A change does not wait longer for others than it may.
func TestLockTimeout(t *testing.T) {
	t.Parallel()
	h := newHouse(t, pgtest.Server(t), "")
	config, _ := h.config()
	config.LockTimeout = 50 * time.Millisecond
	target, err := postgres.SingleUser(config)
	require.NoError(t, err)
	admin := h.db.Admin()
	defer admin.Close(context.Background()) //nolint:errcheck // it rolls back
	_, err = admin.Exec(t.Context(), "begin; select pg_advisory_xact_lock(hashtextextended($1, 0))", pgx.QueryExecModeSimpleProtocol, "rekey role "+h.first.Username)
	require.NoError(t, err)
	to := h.first
	to.Password = source.NewSecret("next")
	c := rotate.Change{Token: "second", From: h.first, To: to}
	err = target.Set(t.Context(), c)
	require.ErrorContains(t, err, "55P03")
	require.NotErrorIs(t, err, rotate.ErrConflict)
	_, err = admin.Exec(t.Context(), "rollback")
	require.NoError(t, err)
	require.NoError(t, target.Set(t.Context(), c))
}

// Roles are rows that cannot be waited for: who comes second gets "tuple
// concurrently updated".
func TestOthersChangeTheRole(t *testing.T) {
	t.Parallel()
	h := newHouse(t, pgtest.Server(t), "")
	config, _ := h.config()
	target, err := postgres.SingleUser(config)
	require.NoError(t, err)
	admin := h.db.Admin()
	defer admin.Close(context.Background()) //nolint:errcheck // it is done
	_, err = admin.Exec(t.Context(), fill("begin; alter role %s connection limit 9", h.first.Username))
	require.NoError(t, err)
	done := make(chan error, 1)
	to := h.first
	to.Password = source.NewSecret("next")
	c := rotate.Change{Token: "second", From: h.first, To: to}
	go func() { done <- target.Set(t.Context(), c) }()
	require.Eventually(t, func() bool {
		return h.value("select count(*)::text from pg_stat_activity where usename = $1 and wait_event_type = 'Lock'", h.rotator) == "1"
	}, 10*time.Second, 5*time.Millisecond)
	_, err = admin.Exec(t.Context(), "commit")
	require.NoError(t, err)
	require.NoError(t, <-done)
	accepted, err := target.Accepts(t.Context(), c.To)
	require.NoError(t, err)
	require.True(t, accepted)
	require.Equal(t, "9", h.value("select rolconnlimit::text from pg_roles where rolname = $1", h.first.Username))
}

// Sessions of a single user are those from before its password was set, and who
// may not see when sessions began must not say that there are none.
func TestSessionsFromBefore(t *testing.T) {
	t.Parallel()
	h := newHouse(t, pgtest.Server(t), "")
	config, _ := h.config()
	target, err := postgres.SingleUser(config)
	require.NoError(t, err)
	count := func() int {
		n, err := target.Sessions(t.Context(), h.first.Username)
		require.NoError(t, err)
		return n
	}
	h.do("alter role %s reset role", h.first.Username)
	before := h.login(h.first, h.db.Name)
	require.Equal(t, 0, count(), "nothing has been set")
	to := h.first
	to.Password, to.Version = source.NewSecret("next"), "second"
	require.NoError(t, target.Set(t.Context(), rotate.Change{Token: "second", From: h.first, To: to}))
	after := h.login(to, h.db.Name)
	require.Equal(t, 1, count())
	require.NoError(t, target.Set(t.Context(), rotate.Change{Token: "second", From: h.first, To: to}))
	require.Equal(t, 1, count(), "set again it was set when it was set")

	h.do("revoke pg_read_all_stats from %s", h.rotator)
	h.do("revoke %s from %s", h.first.Username, h.rotator) // members see each other
	_, err = target.Sessions(t.Context(), h.first.Username)
	require.ErrorContains(t, err, "pg_read_all_stats")
	_ = before.Close(t.Context())
	_ = after.Close(t.Context())
}
