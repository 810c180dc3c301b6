package mysql_test

import (
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/internal/mysqlserver/mysqltest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/dialertest"
	"github.com/rekey-go/rekey/pool/mysql"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(mysqltest.Suite{Runner: m}) }

// products are the servers that each test runs on.
var products = []mysqlserver.Product{mysqlserver.MariaDB, mysqlserver.MySQL}

func onEach(t *testing.T, test func(t *testing.T, db *mysqltest.DB)) {
	t.Helper()
	for _, p := range products {
		t.Run(string(p), func(t *testing.T) { test(t, mysqltest.Database(t, p)) })
	}
}

func dialer(t *testing.T, config *driver.Config) *mysql.Dialer {
	t.Helper()
	d, err := mysql.New(config)
	require.NoError(t, err)
	return d
}

func TestConformance(t *testing.T) {
	for _, product := range products {
		t.Run(string(product), func(t *testing.T) {
			dialertest.Run(t, func(t *testing.T) dialertest.Harness { return harness(t, mysqltest.Database(t, product)) })
		})
	}
}

func harness(t *testing.T, db *mysqltest.DB) dialertest.Harness {
	return dialertest.Harness{
		Dialer:  dialer(t, db.Config()),
		Address: db.Config().Addr,
		At: func(address string) pool.Dialer {
			config := db.Config()
			config.Addr = address
			return dialer(t, config)
		},
		User: db.Role,

		Password: func(text string) string {
			const longest = 256 // bytes, of caching_sha2_password
			return strings.ToValidUTF8(text[:min(len(text), longest)], "")
		},

		CreateUser:  db.CreateUser,
		SetPassword: db.SetPassword,
		DropUser:    db.DropUser,
		Revoke:      func(user string) { db.Revoke(user, "insert") },
		Sessions:    db.Sessions,
		EndSessions: db.EndSessions,
		SQL: dialertest.SQL{
			Insert: "insert into orders(item, qty) values (?, ?)",
			Select: "select qty from orders where item = ?",
			Update: "update orders set qty = ? where item = ?",
			User:   "select left(current_user(), char_length(current_user()) - 2)", // without @%
			Sleep:  "select sleep(10)",
		},
	}
}
