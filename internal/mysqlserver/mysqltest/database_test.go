package mysqltest_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/internal/mysqlserver/mysqltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(mysqltest.Suite{Runner: m}) }

func login(t *testing.T, db *mysqltest.DB, user, password string) (*sql.DB, error) {
	t.Helper()
	config := db.Config()
	config.User, config.Passwd = user, password
	connector, err := mysql.NewConnector(config)
	require.NoError(t, err)
	pool := sql.OpenDB(connector)
	t.Cleanup(func() { require.NoError(t, pool.Close()) }) // closing twice is harmless
	return pool, pool.PingContext(t.Context())
}

func errno(t *testing.T, err error) uint16 {
	t.Helper()
	var e *mysql.MySQLError
	require.ErrorAs(t, err, &e)
	return e.Number
}

func TestLifeOfAUser(t *testing.T) {
	for _, product := range []mysqlserver.Product{mysqlserver.MariaDB, mysqlserver.MySQL} {
		t.Run(string(product), func(t *testing.T) {
			db := mysqltest.Database(t, product)
			t.Log(db.Server.Version())
			user := db.Role("o'neil \"x\" \\`")
			for _, password := range []string{"plain", "it's \\ \"quoted\" $$ `x`"} {
				db.CreateUser(user, "first")
				db.SetPassword(user, password)
				app, err := login(t, db, user, password)
				require.NoError(t, err)
				require.Equal(t, 1, db.Sessions(user))
				_, err = app.ExecContext(t.Context(), "insert into orders (item, qty) values ('tea', 2)")
				require.NoError(t, err)
				_, err = login(t, db, user, "first")
				require.EqualValues(t, 1045, errno(t, err))
				require.Eventually(t, func() bool { return db.Sessions(user) == 1 }, 30*time.Second, 5*time.Millisecond) // the failed login may be seen for a while
				require.Equal(t, 1, db.EndSessions(user))
				db.Revoke(user, "insert")
				_, err = app.ExecContext(t.Context(), "insert into orders (item, qty) values ('tea', 2)")
				require.EqualValues(t, 1142, errno(t, err))
				require.NoError(t, app.Close())
				db.DropUser(user)
			}
		})
	}
}

func TestRestart(t *testing.T) {
	s := mysqltest.New(t, nil)
	db := mysqltest.On(t, s)
	db.CreateUser(db.Role("app"), "secret")
	require.NoError(t, s.Crash(t.Context()))
	_, err := login(t, db, db.Role("app"), "secret")
	require.Error(t, err)
	require.NoError(t, s.Start(t.Context()))
	require.NoError(t, s.Restart(t.Context()))
	_, err = login(t, db, db.Role("app"), "secret")
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoDirExists(t, filepath.Dir(s.CAFile()))
}
