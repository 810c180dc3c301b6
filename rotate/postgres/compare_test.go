package postgres_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/source"
)

// What one of two users has and the other has not, of whatever kind, in whatever
// database, speaks against the other.
func TestRightsOfAllKindsAreCompared(t *testing.T) {
	t.Parallel()
	h := newHouse(t, pgtest.Server(t), "")
	config, _ := h.config()
	target, err := postgres.Alternating(config, h.first.Username, h.other)
	require.NoError(t, err)
	postgres.Cheap(target)
	second := h.db.Name + "_b"
	h.do("create database %s", second)
	h.do(`alter role %[1]s reset role; alter role %[2]s reset role; create type mood as enum ('good'); revoke usage on type mood from public;
		create trusted language other handler plpgsql_call_handler; revoke usage on language other from public; create role %[3]s;
		create foreign data wrapper wrapper; create server "far away" foreign data wrapper wrapper; create table guarded (x int); alter table guarded owner to %[4]s`,
		h.first.Username, h.other, h.db.Role("extra"), h.db.Group)
	to := source.Credential{Username: h.other, Password: source.NewSecret("second")}
	c := rotate.Change{Token: "second", From: h.first, To: to}
	require.NoError(t, target.Set(t.Context(), c))
	require.NoError(t, target.Verify(t.Context(), c))

	for _, test := range []struct{ give, take, lost string }{
		{"grant usage on type mood to %[1]s", "revoke usage on type mood from %[1]s", "usage on type public.mood"},
		{"create domain mine as int; alter domain mine owner to %[1]s", "drop domain mine", "ownership on type public.mine"},
		{"grant usage on language other to %[1]s", "revoke usage on language other from %[1]s", "usage on language other"},
		{"grant usage on foreign data wrapper wrapper to %[1]s", "revoke usage on foreign data wrapper wrapper from %[1]s", "usage on foreign-data wrapper wrapper"},
		{`grant usage on foreign server "far away" to %[1]s`, `revoke usage on foreign server "far away" from %[1]s`, `usage on server "far away"`},
		{`create user mapping for %[1]s server "far away"`, `drop user mapping for %[1]s server "far away"`, `mapping to server "far away"`},
		{"select lo_create(4711); grant select on large object 4711 to %[1]s", "select lo_unlink(4711)", "select on large object 4711"},
		{"grant create on tablespace pg_default to %[1]s", "revoke create on tablespace pg_default from %[1]s", "create on tablespace pg_default"},
		{"grant set on parameter log_statement to %[1]s", "revoke set on parameter log_statement from %[1]s", "set on parameter log_statement"},
		{"grant create on database postgres to %[1]s", "revoke create on database postgres from %[1]s", "create on database postgres"},
		{"create policy mine on guarded to %[1]s using (true)", "drop policy mine on guarded", "policy mine on table public.guarded"},
		{"grant pg_monitor to %[1]s", "revoke pg_monitor from %[1]s", "membership in pg_monitor"},
		{"grant %[3]s to %[1]s", "revoke %[3]s from %[1]s", "set role " + h.db.Role("extra")},
		{"alter role %[2]s connection limit 3", "alter role %[2]s connection limit -1", "more than 3 sessions"},
		{"alter role %[2]s valid until '2100-01-01'", "alter role %[2]s valid until 'infinity'", "log in after 2100-01-01"},
		{"alter role %[1]s set work_mem to '8MB'", "alter role %[1]s reset work_mem", "setting work_mem"},
		{"grant select on orders to %[1]s; revoke %[4]s from %[2]s; grant connect on database " + h.db.Name + " to %[2]s; grant insert on orders to %[2]s", "grant %[4]s to %[2]s", "on table public.orders"},
	} {
		h.do(test.give, h.first.Username, h.other, h.db.Role("extra"), h.db.Group)
		err := target.Verify(t.Context(), c)
		require.ErrorIs(t, err, rotate.ErrUnfit, test.give)
		require.ErrorContains(t, err, test.lost)
		h.do(test.take, h.first.Username, h.other, h.db.Role("extra"), h.db.Group)
		require.NoError(t, target.Verify(t.Context(), c), test.take)
	}

	in := func(statement string, names ...string) {
		conn, err := h.superuserIn(second)
		require.NoError(t, err)
		defer conn.Close(t.Context())
		_, err = conn.Exec(t.Context(), fill(statement, names...))
		require.NoError(t, err)
	}
	in("create table there (x int); grant select on there to %s", h.first.Username)
	err = target.Verify(t.Context(), c)
	require.ErrorIs(t, err, rotate.ErrUnfit)
	require.ErrorContains(t, err, "select on table public.there (database \""+second+"\")")
	in("grant select on there to %s", h.other)
	require.NoError(t, target.Verify(t.Context(), c))
	h.do("revoke connect on database %[1]s from public; grant connect on database %[1]s to %[2]s", second, h.first.Username)
	err = target.Verify(t.Context(), c)
	require.ErrorContains(t, err, "connect on database "+second)
	require.Equal(t, 1, strings.Count(err.Error(), "connect on database"))
	h.do("drop database %s", second)
	h.do("drop role %s", h.db.Role("extra"))
}
