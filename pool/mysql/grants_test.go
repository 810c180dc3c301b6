package mysql_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/internal/mysqlserver/mysqltest"
	"github.com/rekey-go/rekey/pool/mysql"
)

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
