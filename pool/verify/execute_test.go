package verify_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool/verify"
)

func TestExecute(t *testing.T) {
	b := newBench(t)
	app := b.role("app", "")
	b.do(`grant insert, select, truncate on orders to %[1]s; grant usage on sequence orders_id_seq to %[1]s;
		create procedure commits() language plpgsql as $$ begin insert into orders (item) values ('x'); commit; end $$;
		create table late (x int); grant insert on late to %[1]s; create table audit (x int);
		create function late() returns trigger language plpgsql as $$ begin insert into audit values (1); return null; end $$;
		create constraint trigger late after insert on late deferrable initially deferred for each row execute function late();
		insert into orders (item) values ('keep')`, app)
	conn := b.login(app)
	run := func(sql string, args ...any) error {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := verify.Execute(sql, args...)(ctx, conn)
		require.NoError(t, ctx.Err())
		require.False(t, conn.IsClosed())
		require.Equal(t, byte('I'), conn.PgConn().TxStatus())
		require.Equal(t, 1, b.count("select count(*) from orders where item = 'keep'"))
		require.Equal(t, 1, b.count("select count(*) from orders"))
		return err
	}
	require.NoError(t, run("insert into orders (item, qty) values ($1, $2)", "tea", 3))
	require.NoError(t, run("insert into orders (item) values ('tea') returning id"))
	require.NoError(t, run("truncate orders"))
	require.NoError(t, run("listen events"))
	require.NoError(t, run("set work_mem = '1MB'"))
	require.NoError(t, run("do $$ begin insert into orders (item) values ('x'); end $$"))
	requireCode(t, run("delete from orders"), "42501")
	requireCode(t, run("insert into late values (1)"), "42501") // at the end only, by its trigger
	require.ErrorContains(t, run("insert into orders (item, qty) values ('a', $1)", 3, 4), "mismatched param and argument count")
	requireCode(t, run("insert into orders (item) values ('a'); commit"), "42601")
	requireCode(t, run("insert into orders (item) values ($1); commit", "a"), "42601")
	requireCode(t, run("call commits()"), "2D000")
	requireCode(t, run("do $$ begin insert into orders (item) values ('x'); commit; end $$"), "2D000")
	requireCode(t, run("vacuum orders"), "25001")
	for _, sql := range []string{"commit", "; COMMIT and chain", "/* /* */ */ end", "--x\nRollback", "abort", "begin", "start transaction", "prepare transaction 'x'", "copy orders (item) from stdin"} {
		require.ErrorContains(t, run(sql), "is not for Execute", sql)
	}
	for _, sql := range []string{"", "--", "/* insert"} {
		require.ErrorContains(t, run(sql), "there is no statement", sql)
	}
	err := run("select * from orders where item = 'secret' and nope")
	require.ErrorContains(t, err, "verify: “select * from orders where item =…”: ERROR")
	require.NotContains(t, err.Error(), "secret")
	require.Equal(t, "4MB", setting(t, conn))
}

// A cancelled check leaves nothing behind.
func TestExecuteCancelled(t *testing.T) {
	b := newBench(t)
	app := b.role("app", "")
	b.do("grant insert on orders to %[1]s; grant usage on sequence orders_id_seq to %[1]s", app)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := verify.Execute("with x as (insert into orders (item) values ('x')) select pg_sleep(60)")(ctx, b.login(app))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, b.count("select count(*) from orders"))
}
