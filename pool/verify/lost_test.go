package verify_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool/verify"
)

func (b *bench) roleOf(user string) verify.Role {
	b.t.Helper()
	r, err := verify.RoleOf(b.t.Context(), b.login(user))
	require.NoError(b.t, err)
	return r
}

// lost asks on the new user's own connection.
func (b *bench) lost(from, to string) []string {
	b.t.Helper()
	conn := b.login(to)
	lost, err := verify.Lost(b.t.Context(), conn, b.roleOf(from), b.roleOf(to))
	require.NoError(b.t, err)
	return lost
}

func TestLost(t *testing.T) {
	b := newBench(t)
	one, two := b.role("one", "createdb"), b.role("two", "")
	b.do(`create schema sales; create schema "Odd.S"; create table sales.bills (id int, net int, "Tax ""x""" int);
		create sequence sales.numbers; create view sales.seen as select 1 as x;
		create table public.everyone (x int); grant all on everyone to public;
		create function sales.area(int, numeric) returns int language sql as 'select 1';
		revoke execute on function sales.area from public`)
	require.Equal(t, []string{"createdb"}, b.lost(one, two))
	require.Empty(t, b.lost(one, one))
	require.Empty(t, b.lost(two, one))

	b.do(`grant usage, create on schema sales to %[1]s; grant create on database `+b.Name+` to %[1]s;
		grant select, update, delete on orders to %[1]s;
		grant select (id), update (id, "Tax ""x""") on sales.bills to %[1]s;
		grant usage, select on sequence sales.numbers to %[1]s; grant select on sales.seen to %[1]s;
		grant execute on function sales.area to %[1]s; grant pg_monitor to %[1]s;
		grant select on pg_catalog.pg_authid to %[1]s;
		create schema mine; alter schema mine owner to %[1]s; create table mine.own (x int); alter table mine.own owner to %[1]s;
		grant select (item), update (id, item, qty), delete on orders to %[2]s; grant usage on schema sales, mine to %[2]s`, one, two)
	// A right on each column is as good as one on the table, and the reverse.
	require.Equal(t, []string{
		"createdb",
		"membership in pg_monitor",
		"membership in pg_read_all_settings",
		"membership in pg_read_all_stats",
		"membership in pg_stat_scan_tables",
		"create on database " + b.Name,
		"ownership, create on schema mine",
		"create on schema sales",
		"ownership, select, insert, update, delete, truncate, references, trigger" + maintain(b) + " on table mine.own",
		"select (id, qty) on table public.orders",
		`select (id), update (id, "Tax ""x""") on table sales.bills`,
		"select on table sales.seen",
		"usage, select on sequence sales.numbers",
		"execute on function sales.area(integer, numeric)",
		"select on table pg_catalog.pg_authid",
	}, systemApart(b.lost(one, two)))
	require.Empty(t, b.lost(two, one))
	b.do("grant select on orders to %s; revoke select on orders from %s; grant select (id, item, qty) on orders to %s", two, one, one)
	require.NotContains(t, strings.Join(b.lost(one, two), "\n"), "orders")
	require.Empty(t, b.lost(two, one))
}

// maintain is the privilege that PostgreSQL 17 brought.
func maintain(b *bench) string {
	if b.Server.Version() >= 170000 {
		return ", maintain"
	}
	return ""
}

// systemApart leaves out the system's views and functions that pg_monitor may
// use, which differ between versions.
func systemApart(lost []string) (rest []string) {
	for _, line := range lost {
		if !strings.Contains(line, "pg_catalog.") || strings.Contains(line, "authid") {
			rest = append(rest, line)
		}
	}
	return rest
}

// The same work under another name is no loss, whichever way the rights come.
func TestNothingLostThroughARole(t *testing.T) {
	b := newBench(t)
	direct, inherits, becomes := b.role("direct", ""), b.role("inherits", ""), b.role("becomes", "noinherit")
	group := b.role("team", "")
	for _, role := range []string{direct, group} {
		b.do("grant select, insert on orders to %[1]s; grant usage on sequence orders_id_seq to %[1]s", role)
	}
	b.do("grant %[1]s to %[2]s, %[3]s; alter role %[3]s set role to %[1]s", group, inherits, becomes)
	require.Empty(t, b.lost(direct, inherits))
	require.Empty(t, b.lost(direct, becomes))
	require.Empty(t, b.lost(becomes, inherits))
	require.Empty(t, b.lost(inherits, becomes))
	require.Empty(t, b.lost(becomes, direct), "it need not become the role that it has been from the start")
	require.Equal(t, []string{"set role " + group}, b.lost(inherits, direct))

	r := b.roleOf(becomes)
	require.Equal(t, group, r.Current)
	require.Equal(t, becomes, r.Session)

	b.do("grant update on orders to %s", group)
	require.Equal(t, []string{"update on table public.orders"}, b.lost(becomes, direct))
	require.Equal(t, []string{"update on table public.orders", "set role " + group}, b.lost(inherits, direct))
}

func TestLostOfSuperusersAndAttributes(t *testing.T) {
	b := newBench(t)
	root, plain := b.role("root", "superuser"), b.role("plain", "")
	able := b.role("able", "bypassrls createrole createdb replication")
	require.Equal(t, []string{"bypassrls", "createrole", "createdb", "replication"}, b.lost(able, plain))
	require.Empty(t, b.lost(able, root))
	require.Empty(t, b.lost(plain, root))
	lost := b.lost(root, plain)
	require.Equal(t, "superuser", lost[0])
	require.Contains(t, lost, "ownership, select, insert, update, delete, truncate, references, trigger"+maintain(b)+" on table public.orders")
}

func TestLostIsBounded(t *testing.T) {
	b := newBench(t)
	one, two := b.role("one", ""), b.role("two", "")
	b.do(fmt.Sprintf(`do $$ begin
		for i in 1..120 loop execute format('create table t%%s (x int); grant select on t%%s to %%I', i, i, '%s'); end loop;
		execute 'create table aaa (' || (select string_agg('column_' || i || ' int', ',') from generate_series(1, 200) i) || ')';
		grant select (column_1), update (column_2) on aaa to %s;
		execute 'grant insert (' || (select string_agg('column_' || i, ',') from generate_series(1, 199) i) || ') on aaa to %s';
	end $$`, one, one, one))
	lost := b.lost(one, two)
	require.Len(t, lost, 100)
	require.Equal(t, "and 22 more", lost[99])
	require.Equal(t, 301, len([]rune(lost[0])))
	require.Regexp(t, `^select \(column_1\), insert \(column_1, column_2,`, lost[0])
}

// Neither dropped objects nor dropped roles fail it or look like a loss.
func TestLostWhileOthersDrop(t *testing.T) {
	b := newBench(t)
	one, two := b.role("one", ""), b.role("two", "")
	b.do("grant all on schema public to %[1]s, %[2]s", one, two)
	from, to := b.roleOf(one), b.roleOf(two)
	conn := b.login(two)
	done := make(chan struct{})
	var failed error
	var owner sync.WaitGroup
	owner.Go(func() {
		defer close(done)
		for i := 0; i < 150 && failed == nil; i++ {
			_, failed = b.admin.Exec(t.Context(), fmt.Sprintf(`create schema s; create table s.t (x int, y serial); create function s.f() returns int language sql as 'select 1';
				grant all on schema s to %[1]s, %[2]s; grant select (x), insert on s.t to %[1]s, %[2]s; grant usage on sequence s.t_y_seq to %[1]s, %[2]s`, one, two))
			if failed == nil {
				_, failed = b.admin.Exec(t.Context(), "drop schema s cascade")
			}
		}
	})
	defer owner.Wait()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		lost, err := verify.Lost(t.Context(), conn, from, to)
		require.NoError(t, err)
		require.Empty(t, lost)
	}
	require.NoError(t, failed)
}

func TestLostOfDroppedRoles(t *testing.T) {
	b := newBench(t)
	stays, goes := b.role("stays", ""), b.Role("goes")
	b.CreateUser(goes, "secret")
	b.do("grant select on orders to %s", stays)
	session, conn := b.login(goes), b.login(stays)
	gone, err := verify.RoleOf(t.Context(), session)
	require.NoError(t, err)
	b.DropUser(goes)
	_, err = verify.RoleOf(t.Context(), session)
	requireCode(t, err, "42704")
	lost, err := verify.Lost(t.Context(), conn, gone, b.roleOf(stays))
	require.NoError(t, err)
	require.Empty(t, lost)
	lost, err = verify.Lost(t.Context(), conn, b.roleOf(stays), gone)
	require.NoError(t, err)
	require.Contains(t, lost, "select on table public.orders")
}

func TestLostNeedsRoles(t *testing.T) {
	b := newBench(t)
	one := b.role("one", "")
	_, err := verify.Lost(t.Context(), b.login(one), verify.Role{}, b.roleOf(one))
	require.ErrorContains(t, err, "RoleOf")
	conn := b.login(one)
	_, err = conn.Exec(t.Context(), "begin")
	require.NoError(t, err)
	_, err = verify.Lost(t.Context(), conn, b.roleOf(one), b.roleOf(one))
	require.ErrorContains(t, err, "in a transaction")
}

func BenchmarkLost(b *testing.B) {
	x := newBench(b)
	one, two, none := x.role("one", ""), x.role("two", ""), x.role("none", "")
	for _, tables := range []int{1, 5000} {
		for i := 0; i < tables; i += 500 { // a transaction holds only so many locks
			x.do(fmt.Sprintf(`do $$ begin for i in %d..%d loop
				execute format('create table t%%1$s_%d (a int, b text); grant select, insert, update, delete on t%%1$s_%d to %s, %s', i);
			end loop; end $$`, i, min(i+500, tables)-1, tables, tables, one, two))
		}
		for want, to := range []string{two, none} {
			b.Run(fmt.Sprintf("tables=%d/lost=%t", tables, to == none), func(b *testing.B) {
				conn := x.login(to)
				from, to := x.roleOf(one), x.roleOf(to)
				for b.Loop() {
					if lost, err := verify.Lost(b.Context(), conn, from, to); err != nil || min(len(lost), 1) != want {
						b.Fatal(lost, err)
					}
				}
			})
		}
	}
}
