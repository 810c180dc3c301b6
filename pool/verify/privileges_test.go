package verify_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool/verify"
)

func TestPrivileges(t *testing.T) {
	b := newBench(t)
	app := b.role("app", "")
	b.do(`create schema sales; create schema "Odd.Schema"; create schema closed;
		create table sales.bills (id int, "Net ""x""" int, secret text);
		create table "Odd.Schema"."Odd.Table" ("Col.1" int, col2 int);
		create table closed.safe (id int);
		create view seen as select id from sales.bills;
		create sequence closed.numbers;
		create function area(int, numeric) returns int language sql as 'select 1';
		create function area(text) returns int language sql as 'select 1';
		create function closed.hidden(closed.safe) returns int language sql as 'select 1';
		create procedure work() language sql as 'select 1';
		revoke execute on function area(text), closed.hidden from public; revoke execute on procedure work() from public`)
	b.do(`grant usage on schema sales, "Odd.Schema" to %[1]s;
		grant select on orders to %[1]s; grant insert (item, qty) on orders to %[1]s; grant update (id, item, qty) on orders to %[1]s;
		grant select (id, "Net ""x""") on sales.bills to %[1]s;
		grant all on "Odd.Schema"."Odd.Table" to %[1]s;
		grant select on closed.safe to %[1]s`, app)
	conn := b.login(app)

	db := b.Name
	for _, c := range []struct {
		grant   verify.Grant
		missing []string
		absent  string
	}{
		{grant: verify.On("orders", "select")},
		{grant: verify.On("Public.ORDERS", "SELECT")},
		{grant: verify.On(` public . "orders" `, " Select ")},
		{grant: verify.On("orders", "select", "delete", "truncate"), missing: []string{"delete on table public.orders", "truncate on table public.orders"}},
		{grant: verify.On("orders", "insert"), missing: []string{"insert on table public.orders"}},
		{grant: verify.On("orders", "update")}, // on each column
		{grant: verify.OnColumns("orders", []string{"item", "QTY"}, "insert", "select")},
		{grant: verify.OnColumns("orders", []string{"id", "item"}, "insert"), missing: []string{"insert (id) on table public.orders"}},
		{grant: verify.OnColumns("orders", []string{"nope"}, "insert"), absent: "verify: insert (nope) on table public.orders: it does not exist"},
		{grant: verify.OnColumns("orders", []string{"xmin"}, "select"), absent: "select (xmin) on table public.orders: it does not exist"},
		{grant: verify.OnColumns("sales.bills", []string{"id", `"Net ""x"""`}, "select")},
		{grant: verify.OnColumns("sales.bills", []string{"secret"}, "select"), missing: []string{"select (secret) on table sales.bills"}},
		{grant: verify.On(`"Odd.Schema"."Odd.Table"`, "delete")},
		{grant: verify.OnColumns(`"Odd.Schema"."Odd.Table"`, []string{`"Col.1"`}, "update")},
		{grant: verify.On("closed.safe", "select", "update"), missing: []string{"usage on schema closed", "update on table closed.safe"}},
		{grant: verify.On("seen", "select"), missing: []string{"select on table public.seen"}},
		{grant: verify.On("nope", "select"), absent: "verify: table nope: there is none, or it is in no schema"},
		{grant: verify.On("sales.nope", "select"), absent: "table sales.nope"},
		{grant: verify.On("nope.nope", "select"), absent: "table nope.nope"},
		{grant: verify.On("safe", "select"), absent: "table safe"},
		{grant: verify.On("a.b.c", "select"), absent: "table a.b.c"},
		{grant: verify.OnSequence("orders_id_seq", "usage"), missing: []string{"usage on sequence public.orders_id_seq"}},
		{grant: verify.OnSequence("closed.numbers", "usage", "update"), missing: []string{
			"usage on schema closed", "update on sequence closed.numbers", "usage on sequence closed.numbers",
		}},
		{grant: verify.OnFunction("area(integer, numeric(10,2))")},
		{grant: verify.OnFunction("public.area( text )"), missing: []string{"execute on function public.area(text)"}},
		{grant: verify.OnFunction("area"), absent: "function area: there is none or more than one; say its argument types"},
		{grant: verify.OnFunction("area(bool)"), absent: "function area(bool): there is none"},
		{grant: verify.OnFunction("work"), missing: []string{"execute on procedure public.work()"}},
		{grant: verify.OnFunction("closed.hidden"), missing: []string{"usage on schema closed"}},
		{grant: verify.OnFunction("closed.hidden(closed.safe)"), missing: []string{"usage on schema closed"}},
		{grant: verify.OnFunction("pg_catalog.now()")},
		{grant: verify.OnSchema("sales", "usage", "create"), missing: []string{"create on schema sales"}},
		{grant: verify.OnSchema("nope", "usage"), absent: "schema nope: there is none"},
		{grant: verify.OnDatabase("", "connect", "temp")},
		{grant: verify.OnDatabase(db, "create"), missing: []string{"create on database " + db}},
		{grant: verify.OnDatabase("nope", "create"), absent: "database nope: there is none"},
	} {
		t.Run(fmt.Sprint(c.grant), func(t *testing.T) {
			err := verify.Privileges(c.grant)(t.Context(), conn)
			switch {
			case c.missing != nil:
				require.ElementsMatch(t, c.missing, missing(t, err))
			case c.absent != "":
				require.ErrorContains(t, err, c.absent)
				require.NotErrorAs(t, err, new(*verify.MissingError))
			default:
				require.NoError(t, err)
			}
		})
	}
}

func TestPrivilegesSaysAllAtOnceAndWhatHelps(t *testing.T) {
	b := newBench(t)
	app := b.role(`App "1"`, "")
	b.do(`create schema "S"; create table "S"."T" ("C" int); create function "S"."F"(int) returns int language sql as 'select 1';
		revoke all on function "S"."F" from public`)
	conn := b.login(app)
	check := verify.Privileges(
		verify.On("orders", "select", "insert"),
		verify.OnColumns(`"S"."T"`, []string{`"C"`}, "update"),
		verify.On(`"S"."T"`, "delete"),
		verify.OnSequence("orders_id_seq", "usage"),
		verify.OnDatabase("", "create"),
	)
	err := check(t.Context(), conn)
	require.Len(t, missing(t, err), 7, err)
	require.ErrorContains(t, err, `lacks `)
	require.ErrorContains(t, err, `GRANT update ("C") ON table "S"."T" TO "App ""1""_`)

	var e *verify.MissingError
	require.ErrorAs(t, err, &e)
	for _, m := range e.Missing {
		b.do(m.Grant(e.Role))
	}
	require.NoError(t, check(t.Context(), conn))

	check = verify.Privileges(verify.OnFunction(`"S"."F"(int)`), verify.On("nope", "select"))
	err = check(t.Context(), conn)
	require.ErrorContains(t, err, "table nope")
	require.ErrorAs(t, err, &e)
	b.do(e.Missing[0].Grant(e.Role))
	require.NotErrorAs(t, check(t.Context(), conn), &e)
}

func TestPrivilegesRefusesWhatItCannotCheck(t *testing.T) {
	b := newBench(t)
	conn := b.login(b.role("app", ""))
	for want, grant := range map[string]verify.Grant{
		`"select, insert" is not a privilege on a table`: verify.On("orders", "select, insert"),
		`"read" is not a privilege on a table`:           verify.On("orders", "read"),
		`"delete" is not a privilege on a column`:        verify.OnColumns("orders", []string{"id"}, "delete"),
		`nothing to check is said about table "orders"`:  verify.On("orders"),
		`nothing to check is said about column "orders"`: verify.OnColumns("orders", nil, "select"),
		`string is not a valid identifier`:               verify.On(`orders"; drop table orders`, "select"),
		`string is not a valid identifier: "or ders"`:    verify.On(`or ders`, "select"),
		`string is not a valid identifier: ""`:           verify.On(``, "select"),
		`does not exist`:                                 verify.OnFunction("f(nosuchtype)"),
	} {
		err := verify.Privileges(verify.On("orders", "select"), grant)(t.Context(), conn)
		if want == "does not exist" && err != nil && !strings.Contains(err.Error(), want) {
			want = "there is none" // from PostgreSQL 16 on
		}
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, verify.Privileges()(t.Context(), conn))

	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	for _, check := range []verify.Check{verify.Privileges(), verify.Statements(), verify.Execute("select 1")} {
		require.ErrorContains(t, check(t.Context(), conn), "in a transaction")
	}
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, conn.Close(t.Context()))
	require.ErrorContains(t, verify.Privileges()(t.Context(), conn), "closed")
}

// A role counts as what it becomes at login, and for what it inherits.
func TestPrivilegesOfSetRoleAndNoInherit(t *testing.T) {
	b := newBench(t)
	plain := b.role("plain", "noinherit")
	becomes := b.role("becomes", "noinherit")
	inherits := b.role("inherits", "")
	root := b.role("root", "superuser")
	for _, role := range []string{plain, becomes, inherits} {
		b.do("grant %s to %s", b.Group, role)
		b.do("grant connect on database %s to %s", b.Name, role)
	}
	if b.Server.Version() >= 160000 { // where NOINHERIT only counts at the time of the GRANT
		b.do("grant %s to %s with inherit false", b.Group, plain)
	}
	b.do("alter role %s set role to %s", becomes, b.Group)
	check := verify.Privileges(verify.On("orders", "select", "delete"), verify.OnSequence("orders_id_seq", "usage"))
	require.Len(t, missing(t, check(t.Context(), b.login(plain))), 3)
	for _, role := range []string{becomes, inherits, root} {
		require.NoError(t, check(t.Context(), b.login(role)), role)
	}
}

// Objects that shadow the system's neither run nor lie.
func TestHostileSearchPath(t *testing.T) {
	b := newBench(t)
	app, other := b.role("app", ""), b.role("other", "")
	b.do(`create schema evil; grant usage, create on schema evil to %[1]s;
		create table evil.ran (what text); grant insert on evil.ran to public; grant usage on schema evil to public;
		create function evil.lie(text) returns bool language plpgsql as $$ begin raise exception 'ran %%', $1; end $$;
		create function evil.has_table_privilege(oid, text) returns bool language sql as $$ select evil.lie('2') $$;
		create function evil.has_table_privilege(oid, oid, text) returns bool language sql as $$ select evil.lie('3') $$;
		create function evil.parse_ident(text) returns text[] language plpgsql as $$ begin raise exception 'ran'; end $$;
		create function evil.parse_ident(text, bool) returns text[] language plpgsql as $$ begin raise exception 'ran'; end $$;
		create function evil.to_regclass(text) returns regclass language plpgsql as $$ begin raise exception 'ran'; end $$;
		create function evil.eq(oid, oid) returns bool language sql as $$ select evil.lie('=') $$;
		create function evil.eq(text, text) returns bool language sql as $$ select evil.lie('=') $$;
		create function evil.eq(name, name) returns bool language sql as $$ select evil.lie('=') $$;
		create function evil.eq(int, int) returns bool language sql as $$ select evil.lie('=') $$;
		create operator evil.= (leftarg = oid, rightarg = oid, function = evil.eq);
		create operator evil.= (leftarg = text, rightarg = text, function = evil.eq);
		create operator evil.= (leftarg = name, rightarg = name, function = evil.eq);
		create operator evil.= (leftarg = int, rightarg = int, function = evil.eq);
		create view evil.pg_class as select evil.lie('view') as relname;
		create view evil.pg_roles as select evil.lie('view') as relname;
		create view evil.pg_prepared_statements as select evil.lie('view') as relname;
		create type evil.text as (a int); create type evil.oid as (a int); create type evil.name as (a int)`, app)
	for _, role := range []string{app, other} {
		b.do("alter role %s set search_path = evil, public, pg_catalog", role)
	}
	b.do("grant insert on orders to %[1]s; grant usage on sequence orders_id_seq to %[1]s", app)
	conn := b.login(app)
	_, err := conn.Exec(t.Context(), `create temp table pg_namespace (oid int); create temp table pg_attribute (oid int)`)
	require.NoError(t, err)

	require.NoError(t, verify.All(
		verify.Privileges(verify.On("orders", "insert"), verify.OnSequence("public.orders_id_seq", "usage"),
			verify.OnFunction("evil.lie(pg_catalog.text)"), verify.OnSchema("public", "usage"), verify.OnDatabase("", "connect")),
		verify.Statements("insert into orders (item) values ($1)"),
		verify.Execute("insert into orders (item) values ($1)", "tea"),
	)(t.Context(), conn))
	require.Equal(t, []string{"select on table public.orders"},
		missing(t, verify.Privileges(verify.On("orders", "select", "insert"))(t.Context(), conn)))

	from, err := verify.RoleOf(t.Context(), conn)
	require.NoError(t, err)
	to, err := verify.RoleOf(t.Context(), b.login(other))
	require.NoError(t, err)
	lost, err := verify.Lost(t.Context(), conn, from, to)
	require.NoError(t, err)
	require.Contains(t, lost, "insert on table public.orders")
	require.Contains(t, lost, "create on schema evil")
}

func TestAllFindsEverything(t *testing.T) {
	b := newBench(t)
	conn := b.login(b.role("app", ""))
	err := verify.All(
		verify.Privileges(verify.On("orders", "select")),
		verify.Statements("delete from orders"),
		verify.Execute("truncate orders"),
	)(t.Context(), conn)
	require.ErrorContains(t, err, "lacks select on table public.orders")
	require.ErrorContains(t, err, "“delete from orders”")
	require.ErrorContains(t, err, "“truncate orders”")

	// A connection that breaks ends it; what is proven stays proven.
	breaks := verify.Execute("select pg_terminate_backend(pg_backend_pid())")
	err = verify.All(breaks, verify.Privileges(verify.On("orders", "select")))(t.Context(), b.login(b.role("two", "")))
	requireCode(t, err, "57P01")
	require.NotContains(t, err.Error(), "orders")
	err = verify.All(verify.Privileges(verify.On("orders", "select")), breaks, breaks)(t.Context(), b.login(b.role("three", "")))
	require.NotEmpty(t, missing(t, err))
	require.ErrorContains(t, err, "2 of 3 checks could not be run")
	require.NotContains(t, err.Error(), "57P01")
	require.False(t, errors.Is(err, t.Context().Err()))
	require.NoError(t, verify.All()(t.Context(), conn))
}

// Whatever way of asking a pool is configured for, as poolers demand.
func TestEveryQueryExecMode(t *testing.T) {
	b := newBench(t)
	app, none := b.role("app", ""), b.role("none", "")
	b.do("grant select, insert on orders to %[1]s; grant usage on sequence orders_id_seq to %[1]s", app)
	from, to := b.roleOf(app), b.roleOf(none)
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		conn := b.login(app, mode)
		for range 2 {
			require.NoError(t, verify.All(
				verify.Privileges(verify.On("orders", "select", "insert"), verify.OnColumns(`public."orders"`, []string{"id"}, "select"),
					verify.OnSequence("orders_id_seq", "usage"), verify.OnFunction("pg_catalog.now()"), verify.OnDatabase("", "connect")),
				verify.Statements("insert into orders (item, qty) values ($1, $2)", "select 1", "select 1; "),
				verify.Execute("insert into orders (item, qty) values ($1, $2)", "it's", 3),
				verify.Execute("insert into orders (item) values ('x')"),
			)(t.Context(), conn), mode)
			requireCode(t, verify.Statements("select 1; select 2")(t.Context(), conn), "42601")
			requireCode(t, verify.Execute("select 1; commit")(t.Context(), conn), "42601")
			requireCode(t, verify.Execute("select $1::int; commit", 1)(t.Context(), conn), "42601")
			lost, err := verify.Lost(t.Context(), conn, from, to)
			require.NoError(t, err)
			require.Equal(t, []string{"select, insert on table public.orders", "usage on sequence public.orders_id_seq"}, lost)
			again, err := verify.RoleOf(t.Context(), conn)
			require.NoError(t, err)
			require.Equal(t, from, again)
		}
	}
}
