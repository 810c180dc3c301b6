package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/rotate/postgres"
)

// legacy is what a user of old has in a database, where %[3]s owns what others
// own; %[4]s has nothing to do with it.
const legacy = `create schema "Old Times" authorization %[1]s; create schema theirs authorization %[3]s; grant usage, create on schema theirs to %[1]s;
	create table "Old Times".mine (id serial, x int); alter table "Old Times".mine owner to %[1]s; grant select on "Old Times".mine to %[4]s;
	create table theirs."it's" (id serial, x int, y int); alter table theirs."it's" owner to %[3]s;
	grant insert, delete on theirs."it's" to %[1]s; grant select on theirs."it's" to %[1]s with grant option; grant update (x, y) on theirs."it's" to %[1]s; grant usage on sequence theirs."it's_id_seq" to %[1]s;
	create function theirs.f(int, text) returns int language sql as 'select 1'; revoke execute on function theirs.f from public; alter function theirs.f owner to %[3]s; grant execute on function theirs.f to %[1]s;
	create procedure theirs.p(inout int) language sql as 'select 1'; revoke execute on procedure theirs.p from public; alter procedure theirs.p owner to %[3]s; grant execute on procedure theirs.p to %[1]s;
	create aggregate theirs.total(int) (sfunc = int4pl, stype = int); revoke execute on function theirs.total from public; alter aggregate theirs.total(int) owner to %[3]s; grant execute on function theirs.total to %[1]s;
	create type theirs.mood as enum ('good'); revoke usage on type theirs.mood from public; alter type theirs.mood owner to %[3]s; grant usage on type theirs.mood to %[1]s;
	select lo_create(42); alter large object 42 owner to %[3]s; grant select, update on large object 42 to %[1]s;
	create policy p on theirs."it's" to %[1]s, %[4]s using (true); create policy "only mine" on theirs."it's" for select to %[1]s using (x > 0);
	alter default privileges for role %[1]s grant select on tables to %[4]s; alter default privileges for role %[1]s revoke execute on functions from public;
	alter default privileges for role %[3]s in schema theirs grant select, insert on tables to %[1]s with grant option;
	grant connect, temporary on database %[5]s to %[1]s; grant create on tablespace pg_default to %[1]s; grant set on parameter log_statement, my.own to %[1]s`

func TestMove(t *testing.T) {
	for _, who := range []string{"superuser", "rotator"} {
		t.Run(who, func(t *testing.T) {
			onBoth(t, func(t *testing.T, server *pgserver.Server) { testMove(t, server, who) })
		})
	}
}

func testMove(t *testing.T, server *pgserver.Server, who string) {
	h, ctx := newHouse(t, server, ""), t.Context()
	user, group, owner, reader, team := h.first.Username, h.db.Group, h.db.Role("100%s owner"), h.db.Role("reader"), h.db.Role("team")
	second := h.db.Name + "_b"
	h.do("create database %[1]s; ", second)
	h.do("create role %[2]s; create role %[3]s; create role %[4]s; grant %[4]s to %[1]s; alter role %[1]s reset role; revoke %[5]s from %[1]s", user, owner, reader, team, group)
	config, _ := h.config()
	if who == "superuser" {
		admin, err := pgx.ParseConfig(h.db.Server.DSN())
		require.NoError(t, err)
		config.Admin = func(ctx context.Context) (*pgx.Conn, error) { return pgx.ConnectConfig(ctx, admin) }
	} else { // whom the first user's rights are of, it has to be as well
		h.do("grant %[2]s, %[3]s to %[1]s with admin option; grant create on tablespace pg_default to %[1]s with grant option; grant set on parameter log_statement, my.own to %[1]s with grant option", h.rotator, owner, team)
	}
	for _, database := range []string{h.db.Name, second} {
		conn, err := h.superuserIn(database)
		require.NoError(t, err)
		_, err = conn.Exec(ctx, fill("alter database %[5]s owner to %[3]s; grant create on database %[5]s to %[6]s; "+legacy, user, group, owner, reader, database, group))
		require.NoError(t, err)
		if who == "rotator" {
			_, err = conn.Exec(ctx, fill("revoke create on tablespace pg_default from %[1]s; revoke set on parameter log_statement, my.own from %[1]s", user))
			require.NoError(t, err)
		}
		require.NoError(t, conn.Close(ctx))
	}
	before := h.login(h.first, h.db.Name)
	_, err := before.Exec(ctx, `select * from theirs."it's"`)
	require.NoError(t, err)

	move, err := postgres.PlanMove(ctx, config, user, group)
	require.NoError(t, err)
	text := move.String()
	for _, want := range []string{
		`GRANT INSERT, DELETE`, `GRANT SELECT ON TABLE theirs."it's" TO ` + group + ` WITH GRANT OPTION`, `UPDATE (x), UPDATE (y)`, "REASSIGN OWNED BY " + user + " TO " + group,
		"-- database " + second + "\nBEGIN;\n", `ALTER POLICY "only mine" ON theirs."it's" TO ` + group, "ALTER ROLE " + user + " SET role TO " + group,
	} {
		require.Contains(t, strings.ReplaceAll(text, "DELETE, INSERT", "INSERT, DELETE"), want)
	}
	again, err := postgres.PlanMove(ctx, config, user, group)
	require.NoError(t, err)
	require.Equal(t, text, again.String(), "a plan changes nothing")
	require.NoError(t, move.Apply(ctx, config))

	left, err := postgres.PlanMove(ctx, config, user, group)
	require.NoError(t, err)
	require.Empty(t, left.String(), "all of it is done")
	_, err = before.Exec(ctx, `insert into theirs."it's" (x) select count(*) from "Old Times".mine`)
	require.NoError(t, err, "open sessions go on")
	after := h.login(h.first, second)
	_, err = after.Exec(ctx, `create table theirs.new (x int); update theirs."it's" set x = 1 where y = 2; select theirs.f(1, ''), theirs.total(1), lo_get(42), 'good'::theirs.mood`)
	require.NoError(t, err)
	_, err = after.Exec(ctx, `call theirs.p(1)`)
	require.NoError(t, err)

	// The way to the next user is free.
	target, err := postgres.ParallelRole(config, group)
	require.NoError(t, err)
	c := h.next(target, h.first, "second")
	require.NoError(t, target.Verify(ctx, c))
	require.NoError(t, before.Close(ctx))
	require.NoError(t, after.Close(ctx))
	require.NoError(t, target.Disable(ctx, user))
	require.NoError(t, target.Remove(ctx, user))
	require.Equal(t, "0", h.value("select count(*)::text from pg_roles where rolname = $1", user))
	_, err = h.login(c.To, second).Exec(ctx, `insert into theirs."it's" (x) select count(*) from "Old Times".mine`)
	require.NoError(t, err)
	require.Equal(t, group+" "+reader, h.value(`select string_agg(pg_get_userbyid(r), ' ' order by 1) from pg_policy, unnest(polroles) r where polname = 'p'`))
	h.do("drop database %s with (force)", second)
	h.do(`drop owned by %[1]s, %[2]s cascade`, reader, owner)
}
