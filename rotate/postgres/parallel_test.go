package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/source"
)

// grouped is a house with a target for its group, made by change.
func grouped(t *testing.T, options func(*postgres.Config)) (*house, rotate.Target) {
	t.Helper()
	return groupedOn(t, pgtest.Server(t), options)
}

func groupedOn(t *testing.T, server *pgserver.Server, options func(*postgres.Config)) (*house, rotate.Target) {
	t.Helper()
	h := newHouse(t, server, "")
	config, _ := h.config()
	if options != nil {
		options(config)
	}
	target, err := postgres.ParallelRole(config, h.db.Group)
	require.NoError(t, err)
	return h, target
}

// next sets the next user of a target.
func (h *house) next(target rotate.Target, from source.Credential, token string) rotate.Change {
	h.t.Helper()
	to, err := target.Next(h.t.Context(), from, token)
	require.NoError(h.t, err)
	to.Password, to.Version = source.NewSecret("password-of-"+token), token
	c := rotate.Change{Token: token, From: from, To: to}
	require.NoError(h.t, target.Set(h.t.Context(), c))
	return c
}

// tryNext sets a next user and returns what is wrong with that.
func (h *house) tryNext(target rotate.Target) error {
	h.t.Helper()
	to, err := target.Next(h.t.Context(), h.first, "tried")
	require.NoError(h.t, err)
	to.Password = source.NewSecret("tried")
	return target.Set(h.t.Context(), rotate.Change{Token: "tried", From: h.first, To: to})
}

// login opens a session that the test closes.
func (h *house) login(c source.Credential, database string) *pgx.Conn {
	h.t.Helper()
	config, err := pgx.ParseConfig(h.db.Server.DatabaseDSN(database))
	require.NoError(h.t, err)
	config.User, config.Password = c.Username, c.Password.Reveal()
	conn, err := pgx.ConnectConfig(h.t.Context(), config)
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// value asks for one text as superuser.
func (h *house) value(query string, args ...any) (text string) {
	h.t.Helper()
	admin := h.db.Admin()
	defer admin.Close(context.Background()) //nolint:errcheck // it was read
	require.NoError(h.t, admin.QueryRow(h.t.Context(), query, args...).Scan(&text))
	return text
}

func TestObjectsBelongToTheGroup(t *testing.T) { onBoth(t, testObjectsBelongToTheGroup) }

func testObjectsBelongToTheGroup(t *testing.T, server *pgserver.Server) {
	h, target := groupedOn(t, server, nil)
	h.do("create role %[2]s; alter default privileges for role %[1]s grant select on tables to %[2]s; grant create on schema public to %[1]s", h.db.Group, h.db.Role("reader"))
	c := h.next(target, h.first, "second")
	_, err := h.login(c.To, h.db.Name).Exec(t.Context(), "create table made (x int)")
	require.NoError(t, err)
	require.Equal(t, h.db.Group, h.value("select tableowner from pg_tables where tablename = 'made'"))
	require.Equal(t, "true", h.value("select has_table_privilege($1, 'made', 'select')::text", h.db.Role("reader")), "the group's default privileges")
	require.NoError(t, target.Verify(t.Context(), c))
	require.NoError(t, target.Undo(t.Context(), c), "it owns nothing")
	require.Equal(t, "0", h.value("select count(*)::text from pg_roles where rolname = $1", c.To.Username))
}

func TestARightOfTheUserItselfIsMissed(t *testing.T) {
	t.Parallel()
	h, target := grouped(t, nil)
	h.do("create table extra (x int); grant select (x) on extra to %s", h.first.Username)
	h.do("alter role %s reset role", h.first.Username)
	c := h.next(target, h.first, "second")
	err := target.Verify(t.Context(), c)
	require.ErrorIs(t, err, rotate.ErrUnfit)
	require.ErrorContains(t, err, "select on table public.extra")
	h.do("grant select on extra to %s", h.db.Group)
	require.NoError(t, target.Verify(t.Context(), c))
}

func TestSettingsAreCopied(t *testing.T) { onBoth(t, testSettingsAreCopied) }

func testSettingsAreCopied(t *testing.T, server *pgserver.Server) {
	h, target := groupedOn(t, server, nil)
	h.do(`alter role %[1]s connection limit 7; alter role %[1]s set search_path to public, "Odd, ""s""", pg_catalog;
		alter role %[1]s set statement_timeout to '90s'; alter role %[1]s in database %[2]s set work_mem to '8MB'; alter role %[1]s set my.own to 'it''s = \x';
		alter role %[1]s set client_encoding to latin1; alter role %[1]s valid until '2099-12-31 23:59:59.5+02'`, h.first.Username, h.db.Name)
	require.ErrorContains(t, h.tryNext(target), "GRANT SET ON PARAMETER")
	h.do("grant set on parameter my.own to %s", h.rotator)
	c := h.next(target, h.first, "second")
	const settings = `select rolconnlimit || ' ' || rolvaliduntil || ' ' || (select string_agg(setdatabase || ':' || s, ' ' order by setdatabase, s)
		from pg_db_role_setting, unnest(setconfig) s where setrole = r.oid) from pg_roles r where rolname = $1`
	require.Equal(t, h.value(settings, h.first.Username), h.value(settings, c.To.Username))
	require.Contains(t, h.value(settings, c.To.Username), `search_path=public, "Odd, ""s""", pg_catalog`)
	require.NoError(t, target.Verify(t.Context(), c))
}

// Two secrets may have their users in one group.
func TestUsersOfOtherSecretsAreLeftAlone(t *testing.T) {
	t.Parallel()
	h, target := grouped(t, nil)
	left := func(current source.Credential) []string {
		left, err := target.Left(t.Context(), rotate.State{Current: rotate.Version{Token: current.Version, Credential: current}})
		require.NoError(t, err)
		return left
	}
	mine := h.next(target, h.first, "mine")
	theirs := h.next(target, source.Credential{Username: h.other, Version: "their first"}, "theirs")
	require.Equal(t, []string{h.first.Username}, left(mine.To))
	require.Equal(t, []string{h.other}, left(theirs.To))
	again := h.next(target, mine.To, "mine again")
	require.Equal(t, []string{h.first.Username, mine.To.Username}, left(again.To))
	require.Empty(t, left(source.Credential{Username: "whoever"}))
	require.Empty(t, left(source.Credential{}))
}

// Nobody would ever retire it.
func TestTheFirstUserHasToBeAMember(t *testing.T) {
	t.Parallel()
	h, target := grouped(t, nil)
	h.do("revoke %s from %s", h.db.Group, h.first.Username)
	require.ErrorContains(t, h.tryNext(target), "is not a member of group")
	require.Equal(t, "none", h.value("select coalesce(shobj_description(oid, 'pg_authid'), 'none') from pg_roles where rolname = $1", h.first.Username))
	h.do("grant %s to %s", h.db.Group, h.first.Username)
	require.NoError(t, h.tryNext(target))
}

// A user who may log in loses nothing.
func TestRemoveBeginsWithALook(t *testing.T) {
	t.Parallel()
	h, target := grouped(t, nil)
	h.next(target, h.first, "second")
	h.do("create table granted (x int); alter table granted owner to %[2]s; grant select on granted to %[1]s", h.first.Username, h.db.Group)
	require.ErrorIs(t, target.Remove(t.Context(), h.first.Username), rotate.ErrConflict)
	require.Equal(t, "1", h.value("select count(*)::text from pg_class, aclexplode(relacl) where relname = 'granted' and grantee = $1::regrole", h.first.Username))
}

// What a user has of its own is found in every database.
func TestRemoveCleansUp(t *testing.T) { onBoth(t, testRemoveCleansUp) }

func testRemoveCleansUp(t *testing.T, server *pgserver.Server) {
	h, target := groupedOn(t, server, nil)
	second := h.db.Name + "_b"
	h.do("create database %s", second)
	for _, database := range []string{h.db.Name, second} {
		config, err := pgx.ParseConfig(h.db.Server.DSN())
		require.NoError(t, err)
		config.Database = database
		conn, err := pgx.ConnectConfig(t.Context(), config)
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), fill(`alter database %[2]s owner to %[3]s; create table legacy (x int); alter table legacy owner to %[1]s; grant usage, create on schema public to %[1]s;
			create table granted (x int); alter table granted owner to %[3]s; grant select (x) on granted to %[1]s; grant connect on database %[2]s to %[1]s;
			create policy mine on granted to %[1]s using (true); create policy shared on granted to %[1]s, %[3]s using (true);
			alter default privileges for role %[1]s revoke execute on functions from public; alter default privileges for role %[3]s grant insert on tables to %[1]s;
			grant create on schema public to %[3]s; alter default privileges for role %[1]s grant select on tables to public`,
			h.first.Username, database, h.db.Group))
		require.NoError(t, err)
		require.NoError(t, conn.Close(t.Context()))
	}
	c := h.next(target, h.first, "second")
	session := h.login(h.first, second)
	ctx, user := t.Context(), h.first.Username
	h.do("create table foreign_land (x int); grant select on foreign_land to %s", user)
	require.ErrorIs(t, target.Remove(ctx, h.other), rotate.ErrConflict, "no rotation has made it")
	require.NoError(t, target.Disable(ctx, user))
	err := target.Remove(ctx, user)
	require.ErrorContains(t, err, "foreign_land", "the rotator is not a member of its owner")
	h.do("alter table foreign_land owner to %s", h.db.Group)
	require.NoError(t, target.Remove(ctx, user))
	require.Equal(t, "0", h.value("select count(*)::text from pg_roles where rolname = $1", user))
	require.Equal(t, h.db.Group, h.value("select tableowner from pg_tables where tablename = 'legacy'"))
	require.Equal(t, "shared", h.value("select string_agg(polname, ' ') from pg_policy"))
	require.Equal(t, h.db.Group, owner(t, h.login(c.To, second), "legacy"))
	require.NoError(t, session.Ping(ctx), "sessions live on")
	require.NoError(t, session.Close(ctx))
	h.do("drop database %s with (force)", second)
}

func owner(t *testing.T, conn *pgx.Conn, table string) (name string) {
	require.NoError(t, conn.QueryRow(t.Context(), "select tableowner from pg_tables where tablename = $1", table).Scan(&name))
	return name
}

func TestRemoveEndsSessionsIfAsked(t *testing.T) { onBoth(t, testRemoveEndsSessionsIfAsked) }

func testRemoveEndsSessionsIfAsked(t *testing.T, server *pgserver.Server) {
	h, target := groupedOn(t, server, func(c *postgres.Config) { c.EndSessions = true })
	h.next(target, h.first, "second")
	session := h.login(h.first, h.db.Name)
	n, err := target.Sessions(t.Context(), h.first.Username)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, target.Disable(t.Context(), h.first.Username))
	require.NoError(t, target.Remove(t.Context(), h.first.Username))
	require.Error(t, session.Ping(t.Context()))
	require.Equal(t, "0", h.value("select count(*)::text from pg_stat_activity where usename = $1", h.first.Username))
}

// A prepared transaction needs its user: others cannot commit it.
func TestPreparedTransactionsAreWaitedFor(t *testing.T) {
	t.Parallel()
	h, target := groupedOn(t, newestServer(t), nil)
	ctx, user := t.Context(), h.first.Username
	h.do("alter role %s reset role", user)
	session := h.login(h.first, h.db.Name)
	_, err := session.Exec(ctx, "begin; insert into orders (item) values ('x'); prepare transaction 'x'")
	require.NoError(t, err)
	require.NoError(t, session.Close(ctx))
	h.next(target, h.first, "second")
	require.Eventually(t, func() bool {
		n, err := target.Sessions(ctx, user)
		require.NoError(t, err)
		return n == 1
	}, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, target.Disable(ctx, user))
	require.ErrorContains(t, target.Remove(ctx, user), "1 prepared transactions")
	h.do("rollback prepared 'x'")
	n, err := target.Sessions(ctx, user)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, target.Remove(ctx, user))
}

// A new user that owns something already is not dropped in haste.
func TestUndoKeepsWhoOwnsSomething(t *testing.T) { onBoth(t, testUndoKeepsWhoOwnsSomething) }

func testUndoKeepsWhoOwnsSomething(t *testing.T, server *pgserver.Server) {
	h, target := groupedOn(t, server, nil)
	c := h.next(target, h.first, "second")
	h.do("create table mine (x int); alter table mine owner to %s", c.To.Username)
	for range 2 {
		require.NoError(t, target.Undo(t.Context(), c))
		accepted, err := target.Accepts(t.Context(), c.To)
		require.NoError(t, err)
		require.False(t, accepted)
	}
	require.ErrorIs(t, target.Set(t.Context(), c), rotate.ErrUnfit)
	left, err := target.Left(t.Context(), rotate.State{Current: rotate.Version{Credential: h.first}})
	require.NoError(t, err)
	require.Equal(t, []string{c.To.Username}, left)
	require.NoError(t, target.Disable(t.Context(), c.To.Username))
	require.NoError(t, target.Remove(t.Context(), c.To.Username))
	require.Equal(t, h.db.Group, h.value("select tableowner from pg_tables where tablename = 'mine'"))
}

func TestARoleThatIsNotOursIsLeftAlone(t *testing.T) { onBoth(t, testARoleThatIsNotOursIsLeftAlone) }

func testARoleThatIsNotOursIsLeftAlone(t *testing.T, server *pgserver.Server) {
	h, target := groupedOn(t, server, nil)
	to, err := target.Next(t.Context(), h.first, "second")
	require.NoError(t, err)
	h.do("create role %s", to.Username)
	to.Password = source.NewSecret("second")
	c := rotate.Change{Token: "second", From: h.first, To: to}
	require.Error(t, target.Set(t.Context(), c))
	require.Error(t, target.Undo(t.Context(), c))
	require.Equal(t, "1", h.value("select count(*)::text from pg_roles where rolname = $1", to.Username))
	h.do("drop role %s", to.Username)
}

func TestNamesFit(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, group := range []string{"g", strings.Repeat("g", 63), strings.Repeat("ü", 31), strings.Repeat("🗝", 15)} {
		target, err := postgres.ParallelRole(&postgres.Config{Admin: noAdmin, Login: &pgx.ConnConfig{}}, group)
		require.NoError(t, err)
		for _, token := range []string{"", "a", "b"} {
			c, err := target.Next(t.Context(), source.Credential{}, token)
			require.NoError(t, err)
			_, err = postgres.Ident(c.Username)
			require.NoError(t, err)
			require.False(t, seen[c.Username])
			seen[c.Username] = true
		}
	}
	require.Len(t, seen, 12)
}

func noAdmin(context.Context) (*pgx.Conn, error) { panic("nobody is asked") }

func TestMistakesInTheConfiguration(t *testing.T) {
	t.Parallel()
	var quote *postgres.QuoteError
	good := &postgres.Config{Admin: noAdmin, Login: &pgx.ConnConfig{}}
	_, err := postgres.ParallelRole(good, "")
	require.ErrorAs(t, err, &quote)
	_, err = postgres.Alternating(good, "a", strings.Repeat("b", 64))
	require.ErrorAs(t, err, &quote)
	_, err = postgres.Alternating(good, "a", "a")
	require.ErrorContains(t, err, "two")
	for _, c := range []*postgres.Config{nil, {}, {Admin: noAdmin}, {Login: &pgx.ConnConfig{}}} {
		_, err := postgres.SingleUser(c)
		require.ErrorContains(t, err, "Admin and Login")
		_, err = postgres.Alternating(c, "a", "b")
		require.ErrorContains(t, err, "Admin and Login")
		_, err = postgres.ParallelRole(c, "a")
		require.ErrorContains(t, err, "Admin and Login")
		_, err = postgres.Lock(c, "a")(t.Context())
		require.ErrorContains(t, err, "Admin and Login")
	}
	var option *postgres.OptionError
	_, err = postgres.SingleUser(&postgres.Config{Admin: noAdmin, Login: &pgx.ConnConfig{}, Iterations: 1000})
	require.ErrorAs(t, err, &option)
	require.Equal(t, "Iterations", option.Option)
	alternating, err := postgres.Alternating(good, "a", "b")
	require.NoError(t, err)
	_, err = alternating.Next(t.Context(), source.Credential{Username: "c"}, "t")
	require.ErrorContains(t, err, "neither")
	for _, c := range []rotate.Change{
		{From: source.Credential{Username: "c"}, To: source.Credential{Username: "a", Password: source.NewSecret("p")}},
		{From: source.Credential{Username: "a"}, To: source.Credential{Username: "a", Password: source.NewSecret("p")}},
	} {
		require.ErrorIs(t, alternating.Set(t.Context(), c), rotate.ErrConflict)
		if c.From.Username != c.To.Username { // else it takes back what crossed a rollback
			require.ErrorIs(t, alternating.Undo(t.Context(), c), rotate.ErrConflict)
		}
	}
}
