package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/internal/mysqlserver/mysqltest"
	"github.com/rekey-go/rekey/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(mysqltest.Suite{Runner: m}) }

var products = []mysqlserver.Product{mysqlserver.MariaDB, mysqlserver.MySQL}

// A session is one connection of the superuser with an sql_mode of its own.
type session struct {
	*sql.Conn
	product mysqlserver.Product
	mode    string // what the server says it is
}

func newSession(t testing.TB, product mysqlserver.Product, mode string) session {
	t.Helper()
	config := mysqltest.Server(t, product).Config()
	config.Params = map[string]string{"sql_mode": "'" + mode + "'"}
	connector, err := driver.NewConnector(config)
	require.NoError(t, err)
	db := sql.OpenDB(connector)
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, errors.Join(conn.Close(), db.Close())) })
	s := session{Conn: conn, product: product}
	require.NoError(t, conn.QueryRowContext(t.Context(), "select @@sql_mode").Scan(&s.mode))
	for m := range strings.SplitSeq(mode, ",") {
		require.Contains(t, s.mode, m)
	}
	return s
}

func (s session) exec(t testing.TB, query string) {
	t.Helper()
	_, err := s.ExecContext(t.Context(), query)
	require.NoError(t, err, "%s: %q", s.product, query)
}

// user makes a user that goes with the test; it has no password.
func (s session) user(t testing.TB, account string) {
	t.Helper()
	s.exec(t, "create user "+account)
	t.Cleanup(func() {
		_, err := s.ExecContext(context.Background(), "drop user "+account)
		require.NoError(t, err)
	})
}

// stored is what the server keeps of a user's password.
func (s session) stored(t testing.TB, user string) source.Secret {
	t.Helper()
	var hash string
	require.NoError(t, s.QueryRowContext(t.Context(), "select authentication_string from mysql.user where user = ?", user).Scan(&hash))
	return source.NewSecret(hash)
}

func (s session) login(t testing.TB, user, password string) error {
	t.Helper()
	config := mysqltest.Server(t, s.product).AppConfig("")
	config.User, config.Passwd = user, password
	connector, err := driver.NewConnector(config)
	require.NoError(t, err)
	conn, err := connector.Connect(t.Context())
	if err != nil {
		return err
	}
	return conn.Close()
}

func refused(t testing.TB, err error) {
	t.Helper()
	var e *driver.MySQLError
	require.ErrorAs(t, err, &e)
	require.EqualValues(t, 1045, e.Number)
}
