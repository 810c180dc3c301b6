package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/postgres"
)

// watched is what all targets of the package are.
type watched interface {
	rotate.Target
	rotate.Ender
	rotate.Observer
}

// session opens a session of an application.
func (h *house) session(application string, as rotate.Change) *pgx.Conn {
	h.t.Helper()
	config, err := pgx.ParseConfig(h.db.DSN)
	require.NoError(h.t, err)
	config.User, config.Password = as.To.Username, as.To.Password.Reveal()
	config.RuntimeParams["application_name"] = application
	conn, err := pgx.ConnectConfig(h.t.Context(), config)
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Who has sessions can be told and ended: of those that are to go, not of others.
func TestSessionsAreToldAndEnded(t *testing.T) {
	for _, s := range strategies {
		t.Run(s.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, server *pgserver.Server) { toldAndEnded(t, server, s.open) })
		})
	}
}

func toldAndEnded(t *testing.T, server *pgserver.Server, open func(*house) func(*postgres.Config) (rotate.Target, error)) {
	h, ctx := newHouse(t, server, ""), t.Context()
	config, _ := h.config()
	target, err := open(h)(config)
	require.NoError(t, err)
	both := postgres.Cheap(target).(watched)
	before := rotate.Change{To: h.first}
	user := h.first.Username
	shop, billing := h.session("shop", before), h.session("billing", before)
	c := h.next(target, h.first, "second")
	after := h.session("shop", c)

	opened := func(uses []rotate.Use) []rotate.Use {
		for i := range uses {
			require.WithinDuration(t, time.Now(), uses[i].Oldest, time.Minute)
			require.Equal(t, "127.0.0.1", uses[i].Client)
			uses[i].Oldest, uses[i].Client = time.Time{}, ""
		}
		return uses
	}
	uses, err := both.Uses(ctx, user)
	require.NoError(t, err)
	want := []rotate.Use{{Application: "billing", Sessions: 1, Old: 1}, {Application: "shop", Sessions: 1, Old: 1}}
	if target.Strategy().InPlace {
		want[1].Sessions++ // the one after
	}
	require.Equal(t, want, opened(uses))
	uses, err = both.Uses(ctx, "nobody at all")
	require.Empty(t, uses)
	if !target.Strategy().InPlace {
		require.NoError(t, err)
	}

	n, err := both.End(ctx, user)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Error(t, shop.Ping(ctx))
	require.Error(t, billing.Ping(ctx))
	require.NoError(t, after.Ping(ctx), "it is not old")
	n, err = both.Sessions(ctx, user)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = both.End(ctx, user)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, after.Close(ctx))
}

// What the rotator may not see or do is an error.
func TestSessionsThatCannotBeSeen(t *testing.T) {
	for _, s := range strategies {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			h, ctx := newHouse(t, pgtest.Server(t), ""), t.Context()
			config, _ := h.config()
			target, err := s.open(h)(config)
			require.NoError(t, err)
			both, user := postgres.Cheap(target).(watched), h.first.Username
			session := h.session("shop", rotate.Change{To: h.first})
			h.next(target, h.first, "second")
			h.do("revoke pg_read_all_stats from %[1]s; revoke %[2]s from %[1]s; alter role %[1]s nocreaterole", h.rotator, user) // members see each other

			_, err = both.Uses(ctx, user)
			require.ErrorContains(t, err, "pg_read_all_stats")
			n, err := both.Sessions(ctx, user)
			if target.Strategy().InPlace { // which of them are old
				require.ErrorContains(t, err, "pg_read_all_stats")
			} else { // everybody may know
				require.NoError(t, err)
				require.Equal(t, 1, n)
			}
			h.do("grant pg_read_all_stats to %s", h.rotator)
			_, err = both.End(ctx, user)
			require.ErrorContains(t, err, "42501")
			require.NoError(t, session.Ping(ctx))
			h.do("grant pg_signal_backend to %s; alter role %[1]s createrole", h.rotator)
			_, err = both.End(ctx, user)
			require.NoError(t, err)
			require.Error(t, session.Ping(ctx))
		})
	}
}
