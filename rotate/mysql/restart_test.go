package mysql_test

import (
	"database/sql"
	"testing"
	"time"

	my "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/internal/mysqlserver/mysqltest"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/mysql"
	"github.com/rekey-go/rekey/source"
)

// A server that was started anew numbers sessions from the beginning: however soon
// after the change that was, they are not from before it.
func TestSessionsAfterARestartAreNotFromBefore(t *testing.T) {
	for _, product := range []mysqlserver.Product{mysqlserver.MariaDB, mysqlserver.MySQL} {
		t.Run(string(product), func(t *testing.T) {
			server := mysqltest.New(t, &mysqlserver.Options{Product: product})
			require.NoError(t, server.Exec(t.Context(), "create database rekey"))
			db := mysqltest.On(t, server)
			db.CreateUser("app", "first")
			admin, err := server.Admin()
			require.NoError(t, err)
			defer func() { require.NoError(t, admin.Close()) }()
			target, err := mysql.DualPassword(&mysql.Config{Admin: admin, Login: db.Config()})
			require.NoError(t, err)

			one := source.Credential{Username: "app", Password: source.NewSecret("first"), Version: "one"}
			two := source.Credential{Username: "app", Password: source.NewSecret("second"), Version: "two"}
			for range 30 {
				held(t, db, one)() // so that the numbers are high
			}
			require.Eventually(t, func() bool { // starts are told apart by their seconds
				var name string
				var up int
				return admin.QueryRowContext(t.Context(), "show global status like 'uptime'").Scan(&name, &up) == nil && up > 1
			}, time.Minute, 10*time.Millisecond)
			end := held(t, db, one)
			require.NoError(t, target.Set(t.Context(), rotate.Change{Token: "two", From: one, To: two}))
			n, err := target.Sessions(t.Context(), "app")
			require.NoError(t, err)
			require.Equal(t, 1, n, "from before")
			require.NoError(t, server.Crash(t.Context()))
			end()
			require.NoError(t, server.Start(t.Context()))

			defer held(t, db, two)()
			n, err = target.Sessions(t.Context(), "app")
			require.NoError(t, err)
			require.Zero(t, n, "none is from before")
		})
	}
}

// held opens one and keeps it until end is called.
func held(t *testing.T, db *mysqltest.DB, c source.Credential) (end func()) {
	t.Helper()
	config := db.Config()
	config.User, config.Passwd = c.Username, c.Password.Reveal()
	connector, err := my.NewConnector(config)
	require.NoError(t, err)
	handle := sql.OpenDB(connector)
	require.NoError(t, handle.PingContext(t.Context()))
	return func() { _ = handle.Close() } // its server may be gone
}
