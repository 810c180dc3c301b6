package postgres_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/rotate/rotatetest"
	"github.com/rekey-go/rekey/source"
)

// strategies are the targets of this package over a house, whose rotator keeps
// the rights that the package's documentation lists for that target.
var strategies = []struct {
	name string
	open func(*house) func(*postgres.Config) (rotate.Target, error)
}{
	{"SingleUser", func(h *house) func(*postgres.Config) (rotate.Target, error) {
		h.do("revoke %[2]s, %[3]s, pg_read_all_stats from %[1]s", h.rotator, h.db.Group, h.other)
		return postgres.SingleUser
	}},
	{"Alternating", func(h *house) func(*postgres.Config) (rotate.Target, error) {
		h.do("revoke %[2]s, pg_read_all_stats from %[1]s", h.rotator, h.db.Group)
		return func(c *postgres.Config) (rotate.Target, error) {
			return postgres.Alternating(c, h.first.Username, h.other)
		}
	}},
	{"ParallelRole", func(h *house) func(*postgres.Config) (rotate.Target, error) {
		h.do("revoke %[2]s from %[1]s", h.rotator, h.other)
		return func(c *postgres.Config) (rotate.Target, error) { return postgres.ParallelRole(c, h.db.Group) }
	}},
}

func TestConformance(t *testing.T) {
	server := pgtest.New(t, &pgserver.Options{Settings: map[string]string{"shared_buffers": "4MB", "logging_collector": "on", "log_statement": "all", "track_activity_query_size": "10000"}})
	for _, s := range strategies {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			rotatetest.Target(t, func(t *testing.T) rotatetest.TargetHarness {
				h := newHouse(t, server, "")
				return h.harness(s.open(h))
			})
		})
	}
}

// On the newest version a whole rotation, undone and done and retired, and a late
// one, by the rotator with the same few rights.
func TestRotations(t *testing.T) {
	for _, s := range strategies {
		t.Run(s.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, server *pgserver.Server) {
				h := newHouse(t, server, "")
				h.rotates(s.open(h))
				h.fences(s.open(h))
			})
		})
	}
}

// fences has a rotation come too late.
func (h *house) fences(open func(*postgres.Config) (rotate.Target, error)) {
	t, ctx := h.t, h.t.Context()
	config, _ := h.config()
	target, err := open(config)
	require.NoError(t, err)
	late := rotate.Change{Token: "late", From: source.Credential{Username: h.first.Username, Password: source.NewSecret("long ago"), Version: "long ago"}}
	late.To, err = target.Next(ctx, late.From, late.Token)
	require.NoError(t, err)
	late.To.Password = source.NewSecret("late")
	if target.Strategy().Leaves { // each rotation has a user of its own
		return
	}
	if !target.Strategy().InPlace { // which is marked
		late.From.Username, late.To.Username = h.other, h.first.Username
	}
	require.ErrorIs(t, target.Set(ctx, late), rotate.ErrConflict)
	require.ErrorIs(t, target.Undo(ctx, late), rotate.ErrConflict)
	accepted, err := target.Accepts(ctx, late.To)
	require.NoError(t, err)
	require.False(t, accepted)
}

// oddNames are parts of names. With the rest they have at most 63 bytes.
var oddNames = []string{
	`"; drop role x; --`, `'o''neil`, `\`, ` blank `, `UPPER`, `größe`, `🗝️`, `$1 %s`, `[rekey a 2026-01-01T00:00:00Z]`, "\n", `a very long name, of sixty-three bytes, or`,
}

func TestOddNames(t *testing.T) {
	server := pgtest.Server(t)
	for _, s := range strategies {
		for _, odd := range oddNames {
			t.Run(fmt.Sprintf("%s/%q", s.name, odd), func(t *testing.T) {
				t.Parallel()
				h := newHouse(t, server, odd)
				group := h.db.Group + odd
				h.do("alter role %s rename to %s", h.db.Group, group)
				h.db.Group = group
				h.rotates(s.open(h))
			})
		}
	}
}

// rotates goes through a rotation, and through one that is undone.
func (h *house) rotates(open func(*postgres.Config) (rotate.Target, error)) {
	t, ctx := h.t, h.t.Context()
	config, _ := h.config()
	target, err := open(config)
	require.NoError(t, err)
	postgres.Cheap(target)
	for _, undo := range []bool{true, false} {
		token := fmt.Sprint("rotation ", undo)
		to, err := target.Next(ctx, h.first, token)
		require.NoError(t, err)
		require.LessOrEqual(t, len(to.Username), 63)
		to.Password, to.Version = source.NewSecret("next"), token
		c := rotate.Change{Token: token, From: h.first, To: to}
		require.NoError(t, target.Set(ctx, c))
		require.NoError(t, target.Verify(ctx, c))
		if undo {
			require.NoError(t, target.Undo(ctx, c))
			continue
		}
		left, err := target.Left(ctx, rotate.State{Current: rotate.Version{Token: token, Credential: to}})
		require.NoError(t, err)
		if !target.Strategy().Leaves {
			require.Empty(t, left)
			return
		}
		require.Equal(t, []string{h.first.Username}, left)
		require.NoError(t, target.Disable(ctx, h.first.Username))
		require.NoError(t, target.Remove(context.WithoutCancel(ctx), h.first.Username))
		accepted, err := target.Accepts(ctx, h.first)
		require.NoError(t, err)
		require.False(t, accepted)
	}
}
