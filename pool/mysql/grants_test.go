package mysql_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/internal/mysqlserver/mysqltest"
	"github.com/rekey-go/rekey/pool/mysql"
)

func TestLostRightsByWhatServersShow(t *testing.T) {
	const usage = "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*5146DE71291F8D7B46874C14DD351748E9B8A304'"
	for name, c := range map[string]struct {
		from, to []string
		want     []string
	}{
		"nothing at all": {},
		"the same, written otherwise": {
			from: []string{usage, "GRANT SELECT, INSERT ON `d`.`t` TO `u`@`%`", "GRANT UPDATE (`a`, `b`) ON `d`.`t` TO `u`@`%`"},
			to:   []string{"GRANT INSERT ON `d`.`t` TO `v`@`%`", "GRANT UPDATE (`b`), SELECT, UPDATE (`a`) ON `d`.`t` TO `v`@`%`"},
		},
		"one of two": {
			from: []string{"GRANT SELECT, INSERT ON `d`.`t` TO `u`@`%`"},
			to:   []string{"GRANT SELECT ON `d`.`t` TO `v`@`%`"},
			want: []string{"INSERT on `d`.`t`"},
		},
		"a column": {
			from: []string{"GRANT SELECT (`a`, `b, c`) ON `d`.`t` TO `u`@`%`"},
			to:   []string{"GRANT SELECT (`a`) ON `d`.`t` TO `v`@`%`"},
			want: []string{"SELECT (`b, c`) on `d`.`t`"},
		},
		"a table for its columns": {
			from: []string{"GRANT SELECT (`a`) ON `d`.`t` TO `u`@`%`"},
			to:   []string{"GRANT SELECT ON `d`.`t` TO `v`@`%`"},
		},
		"columns for the table": {
			from: []string{"GRANT SELECT ON `d`.`t` TO `u`@`%`"},
			to:   []string{"GRANT SELECT (`a`) ON `d`.`t` TO `v`@`%`"},
			want: []string{"SELECT on `d`.`t`"},
		},
		"the database for a table": {
			from: []string{"GRANT SELECT ON `my_d`.`t.x` TO `u`@`%`", "GRANT EXECUTE ON PROCEDURE `my_d`.`p` TO `u`@`%`"},
			to:   []string{"GRANT SELECT, EXECUTE ON `my\\_d`.* TO `v`@`%`"},
		},
		"a pattern for the database": {
			from: []string{"GRANT SELECT ON `my\\_d`.* TO `u`@`%`", "GRANT SELECT ON `other`.`t` TO `u`@`%`"},
			to:   []string{"GRANT SELECT ON `my%`.* TO `v`@`%`"},
			want: []string{"SELECT on `other`.`t`"},
		},
		"another database of nearly this name": {
			from: []string{"GRANT SELECT ON `my_d`.`t` TO `u`@`%`"},
			to:   []string{"GRANT SELECT ON `my\\_e`.* TO `v`@`%`", "GRANT SELECT ON `my_d2`.* TO `v`@`%`"},
			want: []string{"SELECT on `my_d`.`t`"},
		},
		"everything for something": {
			from: []string{"GRANT SELECT, DROP ON `d`.* TO `u`@`%`", "GRANT RELOAD ON *.* TO `u`@`%`"},
			to:   []string{"GRANT ALL PRIVILEGES ON *.* TO `v`@`%`"},
		},
		"something for everything": {
			from: []string{"GRANT ALL PRIVILEGES ON `d`.* TO `u`@`%` WITH GRANT OPTION"},
			to:   []string{"GRANT SELECT ON `d`.* TO `v`@`%` WITH GRANT OPTION"},
			want: []string{"ALL PRIVILEGES on `d`.*"},
		},
		"the right to grant": {
			from: []string{"GRANT SELECT ON `d`.* TO `u`@`%` IDENTIFIED VIA x USING 'TO `a`' REQUIRE SSL WITH GRANT OPTION MAX_QUERIES_PER_HOUR 5"},
			to:   []string{"GRANT ALL PRIVILEGES ON `d`.* TO `v WITH GRANT OPTION`@`%`"},
			want: []string{"GRANT OPTION on `d`.*"},
		},
		"a procedure, not a function": {
			from: []string{"GRANT EXECUTE ON PROCEDURE `d`.`p` TO `u`@`%`"},
			to:   []string{"GRANT EXECUTE ON FUNCTION `d`.`p` TO `v`@`%`"},
			want: []string{"EXECUTE on PROCEDURE `d`.`p`"},
		},
		"names that look like grammar": {
			from: []string{"GRANT SELECT ON `d TO x`.` ON ``TO`` ` TO `u ON`@`%`", "GRANT INSERT ON `d TO x`.` ON ``TO`` ` TO `u`@`%`"},
			to:   []string{"GRANT SELECT ON `d TO x`.` ON ``TO`` ` TO `v`@`%`"},
			want: []string{"INSERT on `d TO x`.` ON ``TO`` `"},
		},
		"what is taken out again": {
			from: []string{"GRANT SELECT, INSERT ON *.* TO `u`@`%`"},
			to:   []string{"GRANT SELECT, INSERT ON *.* TO `v`@`%`", "REVOKE INSERT ON `d`.* FROM `v`@`%`"},
			want: []string{"INSERT on `d`.*"},
		},
		"a role to switch to": {
			from: []string{"GRANT `a`@`%`,`active`@`%` TO `u`@`%`", "GRANT `b` TO `u`@`%` WITH ADMIN OPTION"},
			to:   []string{"GRANT `b` TO `v`@`%`"},
			want: []string{"role `a`@`%`"},
		},
		"a proxy": {
			from: []string{"GRANT PROXY ON ``@`%` TO `u`@`%` WITH GRANT OPTION"},
			to:   []string{"GRANT ALL PRIVILEGES ON *.* TO `v`@`%` WITH GRANT OPTION"},
			want: []string{"PROXY on ``@`%`", "GRANT OPTION on ``@`%`"},
		},
		"what is no grant": {
			from: []string{"SET DEFAULT ROLE `r` FOR `u`@`%`", "", "GRANT", "GRANT SELECT", "GRANT SELECT ON", "(`", "GRANT ( ON `d` TO"},
			to:   []string{"GRANT SELECT"},
		},
	} {
		got := mysql.Lost("`active`@`%`", c.from, "", c.to)
		if name == "what is no grant" {
			continue // it must only not panic
		}
		require.Equal(t, c.want, got, name)
	}
}

func FuzzLostRights(f *testing.F) {
	f.Add("GRANT SELECT (`a`), UPDATE ON `d`.`t` TO `u`@`%` WITH GRANT OPTION", "GRANT `r` TO `u`@`%`")
	f.Add("REVOKE INSERT ON `d\\_`.* FROM 'u'@'%'", "GRANT PROXY ON ''@'' TO x IDENTIFIED BY PASSWORD '*0'")
	f.Fuzz(func(t *testing.T, a, b string) {
		lines := strings.Split(a, "\n")
		mysql.Lost("r", lines, "", strings.Split(b, "\n"))
		require.Empty(t, mysql.Lost("r", lines, "r", lines), "nobody loses anything to oneself")
	})
}

func TestLostRightsWithRoles(t *testing.T) {
	onEach(t, func(t *testing.T, db *mysqltest.DB) {
		from, to, role, other := db.Role("from"), db.Role("to"), db.Role("role"), db.Role("other")
		db.CreateUser(from, "secret")
		db.CreateUser(to, "secret")
		d := dialer(t, db.Config())
		lost := func() []string {
			t.Helper()
			l, err := d.LostRights(t.Context(), snapshot(from, "secret"), snapshot(to, "secret"))
			require.NoError(t, err)
			return l
		}
		quoted := func(role string) string {
			if db.Server.Product() == mysqlserver.MySQL {
				return mysqlserver.QuoteIdent(role) + "@`%`"
			}
			return mysqlserver.QuoteIdent(role)
		}
		for _, r := range []string{role, other} {
			db.Exec("create role " + quoted(r))
			defer db.Exec("drop role " + quoted(r))
		}
		db.Exec("grant create on " + mysqlserver.QuoteIdent(db.Name) + ".* to " + quoted(role))
		grant := func(user, role string) { db.Exec("grant " + quoted(role) + " to " + mysqlserver.QuoteLiteral(user)) }
		grant(from, role)
		require.Equal(t, []string{"role " + quoted(role)}, lost(), "it may switch to the role")
		grant(to, role)
		require.Empty(t, lost())
		db.Exec("revoke " + quoted(role) + " from " + mysqlserver.QuoteLiteral(to))
		if db.Server.Product() == mysqlserver.MySQL {
			db.Exec("set default role " + quoted(role) + " to " + mysqlserver.QuoteLiteral(from))
		} else {
			db.Exec("set default role " + quoted(role) + " for " + mysqlserver.QuoteLiteral(from))
		}
		require.Equal(t, []string{"CREATE on `" + db.Name + "`.*"}, lost(), "it has what the role may do")
		db.Exec("grant create on " + mysqlserver.QuoteIdent(db.Name) + ".* to " + mysqlserver.QuoteLiteral(to))
		require.Empty(t, lost(), "the other has it by itself")
		db.Revoke(to, "update")
		db.Exec("grant update (qty) on " + db.Table() + " to " + mysqlserver.QuoteLiteral(to))
		require.Equal(t, []string{"UPDATE on `" + db.Name + "`.`orders`"}, lost())
	})
}

func TestNameOfTheApplication(t *testing.T) {
	tag := func(base string) string { return base + "-v7" }
	require.Equal(t, "program_name:-v7", mysql.WithName("", tag))
	require.Equal(t, "a:b,c:d,program_name:shop-v7", mysql.WithName("a:b,program_name:shop,c:d", tag))
	require.Equal(t, "a:b", mysql.WithName("a:b", func(string) string { return "" }))
	require.Equal(t, "a:b", mysql.WithName("a:b,program_name:shop", func(string) string { return "x,y:z" }))
}
