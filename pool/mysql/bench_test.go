package mysql_test

import (
	"database/sql"
	"log/slog"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/internal/mysqlserver/mysqltest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/mysql"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// BenchmarkQuery is a statement that needs a connection and little else.
func BenchmarkQuery(b *testing.B) {
	server := mysqltest.Database(b, mysqlserver.MariaDB)
	user := server.Role("app")
	server.CreateUser(user, "secret")
	config := server.Config()
	query := func(b *testing.B, db *sql.DB, args ...any) {
		b.Helper()
		b.ReportAllocs()
		text := "select 1"
		if len(args) > 0 {
			text = "select ?"
		}
		var n int
		for b.Loop() {
			require.NoError(b, db.QueryRowContext(b.Context(), text, args...).Scan(&n))
		}
	}
	open := map[string]func() *sql.DB{
		"raw": func() *sql.DB {
			c := config.Clone()
			c.User, c.Passwd = user, "secret"
			connector, err := driver.NewConnector(c)
			require.NoError(b, err)
			return sql.OpenDB(connector)
		},
		"managed": func() *sql.DB {
			log := slog.New(slog.DiscardHandler)
			r, err := refresh.New(b.Context(), source.Static(user, source.NewSecret("secret")), &refresh.Options{Logger: log})
			require.NoError(b, err)
			b.Cleanup(r.Close)
			d, err := mysql.New(config)
			require.NoError(b, err)
			db, err := pool.OpenDB(b.Context(), d, r, &pool.Options{Logger: log})
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, db.Close()) })
			return db.DB
		},
	}
	for _, kind := range []string{"raw", "managed"} {
		db := open[kind]()
		b.Run("text/"+kind, func(b *testing.B) { query(b, db) })
		b.Run("prepared/"+kind, func(b *testing.B) { query(b, db, 1) })
		require.NoError(b, db.Close())
	}
}
