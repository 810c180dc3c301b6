package verify_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool/verify"
)

func TestStatements(t *testing.T) {
	b := newBench(t)
	app := b.role("app", "")
	b.do(`create table marks (n int); create table identities (id int generated always as identity, x int);
		create table "Odd's" (id serial, x int);
		create view seen as select id, qty from orders; create table secrets (x text);
		create view leak as select x from secrets;
		create function mark() returns int language sql as 'insert into marks values (1) returning n';
		create function writes(int) returns int stable language plpgsql as $$ begin return mark(); end $$;
		create function strict(int) returns int strict language plpgsql as $$ begin return 1; end $$;
		revoke execute on function strict from public`)
	b.do(`grant select (id, item), insert (item, qty), update (qty) on orders to %[1]s; grant select on seen, leak to %[1]s;
		grant insert, select on identities, "Odd's" to %[1]s`, app)
	conn := b.login(app)
	const needsSequence = "usage on sequence public.orders_id_seq"
	for sql, want := range map[string]string{
		"select id, item from orders where id = $1":                              "",
		"select id, item from orders where id = $1;":                             "",
		"\n-- it's /* a\n /* nested /* */ ' */ (select id from orders) ; -- end": "",
		"with x as (select id from orders) select * from x":                      "",
		"values (1), ($1)":                                             "",
		"select 'text; with $2 inside', $1::int":                       "",
		"select qty from seen":                                         "",
		"select x from leak":                                           "",
		"select qty from orders":                                       "42501",
		"select * from orders for update":                              "42501",
		"select 1 from orders where false and qty > 1":                 "42501",
		"select count(*) from orders":                                  "", // any column will do
		"update orders set qty = $1 where id = $2":                     "",
		"update orders set item = $1":                                  "42501",
		"delete from orders where id = $1":                             "42501",
		"select strict($1)":                                            "42501", // which NULL would fold away
		"insert into orders (item, qty) values ($1, $2)":               needsSequence,
		"insert into orders (item) values ('a'), ('b')":                needsSequence,
		"insert into orders (item) select 'x' where false":             needsSequence,
		"insert into orders (item) values ($1) returning qty":          "42501",
		"with x as (insert into orders (item) values ($1)) table leak": needsSequence,
		"select nextval('orders_id_seq')":                              needsSequence,
		"select 'nextval(''orders_id_seq''::regclass)'":                "",
		"insert into identities (x) values ($1)":                       "",
		`insert into "Odd's" (x) values ($1)`:                          `usage on sequence public."Odd's_id_seq"`,
		`insert into "Odd's" (id, x) values ($1, 2)`:                   "",
		"select * from nope":                                           "42P01",
		"selec 1":                                                      "42601",
		"select 1; select 2":                                           "42601",
		"select 1; drop table orders":                                  "42601",
		"select $1 + $2":                                               "42725",
		"":                                                             "it is empty",
		" ; -- nothing\n /**/":                                         "it is empty",
		"truncate orders":                                              "TRUNCATE cannot be explained, use Execute",
		"/* x */ call work()":                                          "CALL cannot be explained, use Execute",
		"copy orders to stdout":                                        "COPY cannot be explained, use Execute",
		"listen x":                                                     "LISTEN cannot be explained, use Execute",
		"create table t (id int)":                                      "CREATE cannot be explained, use Execute",
		"commit":                                                       "COMMIT cannot be explained, use Execute",
		"select 1 into t":                                              "",
		"select id from orders where id = writes(1)":                   "25006", // planning runs it, and it cannot write
	} {
		err := verify.Statements(sql)(t.Context(), conn)
		switch {
		case want == "":
			require.NoError(t, err, sql)
			continue
		case want[0] == 'u' && want[1] == 's':
			require.Equal(t, []string{want}, missing(t, err), sql)
		case len(want) == 5:
			require.Error(t, err, sql)
			requireCode(t, err, want)
		}
		require.ErrorContains(t, err, want, sql)
		require.ErrorContains(t, err, "verify: statement 1, ")
	}
	require.Zero(t, b.count("select count(*) from pg_class where relname = 't'"))
	require.Zero(t, b.count("select count(*) from orders")+b.count("select count(*) from marks"))

	// All are looked at, one after the other has failed, and nothing is left.
	err := verify.Statements("select 1", "delete from orders where item = 'secret'", "bad", "select qty from orders", "select 2")(t.Context(), conn)
	require.ErrorContains(t, err, "statement 2, “delete from orders where item =…”: ERROR: permission denied")
	require.ErrorContains(t, err, "statement 3, “bad”")
	require.ErrorContains(t, err, "statement 4, “select qty from orders”")
	require.NotContains(t, err.Error(), "secret")
	var n int
	require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from pg_prepared_statements where name like 'rekey%'").Scan(&n))
	require.Zero(t, n)
	b.do("grant update on sequence orders_id_seq to %s", app)
	require.NoError(t, verify.Statements("insert into orders (item) values ($1)")(t.Context(), conn), "as good as usage")
	require.NoError(t, verify.Statements()(t.Context(), conn))
}
