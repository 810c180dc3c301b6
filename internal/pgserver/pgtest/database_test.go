package pgtest_test

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestLifeOfAUser(t *testing.T) {
	db := pgtest.Database(t)
	user := db.Role(`o'neil "x" \`)
	for _, password := range []string{"plain", `it's \ "quoted" $$`} {
		db.CreateUser(user, "first")
		db.SetPassword(user, password)
		conn, err := login(t, db, user, password)
		require.NoError(t, err)
		require.Equal(t, 1, db.Sessions(user))
		var id int
		require.NoError(t, conn.QueryRow(t.Context(), "insert into orders (item, qty) values ('tea', 2) returning id").Scan(&id))

		_, err = login(t, db, user, "first")
		require.Equal(t, "28P01", code(t, err))
		db.NoLogin(user)
		_, err = login(t, db, user, password)
		require.Equal(t, "28000", code(t, err))
		db.Login(user)

		db.DropUser(user)
		_, err = conn.Exec(t.Context(), "select 1")
		require.NoError(t, err, "the session outlives the user")
		_, err = conn.Exec(t.Context(), "select * from orders")
		require.Equal(t, "42501", code(t, err), "without its rights")
		require.NoError(t, conn.Close(t.Context()))
	}
}

func TestEndSessions(t *testing.T) {
	db := pgtest.Database(t)
	user := db.Role("app")
	db.CreateUser(user, "secret")
	conn, err := login(t, db, user, "secret")
	require.NoError(t, err)
	require.Equal(t, 1, db.EndSessions(user))
	_, err = conn.Exec(t.Context(), "select 1")
	require.Equal(t, "57P01", code(t, err))
}

func TestDatabasesAreApart(t *testing.T) {
	one, two := pgtest.Database(t), pgtest.Database(t)
	user := one.Role("app")
	one.CreateUser(user, "secret")
	_, err := login(t, two, user, "secret")
	require.Equal(t, "42501", code(t, err))
}

func TestNothingIsLeft(t *testing.T) {
	var name string
	t.Run("inner", func(t *testing.T) {
		db := pgtest.Database(t)
		name = db.Name
		db.CreateUser(db.Role("idle"), "secret")
		db.CreateUser(db.Role("Busy's"), "secret")
		_, err := login(t, db, db.Role("Busy's"), "secret")
		require.NoError(t, err)
	})
	var left int
	require.NoError(t, pgtest.Server(t).Do(t.Context(), func(conn *pgx.Conn) error {
		return conn.QueryRow(t.Context(), `select (select count(*) from pg_database where datname = $1)
			+ (select count(*) from pg_roles where rolname like '%' || substr($1, 5))`, name).Scan(&left)
	}))
	require.Zero(t, left)
}

func login(t *testing.T, db *pgtest.DB, user, password string) (*pgx.Conn, error) {
	t.Helper()
	cfg, err := pgx.ParseConfig(db.DSN)
	require.NoError(t, err)
	cfg.User, cfg.Password = user, password
	return pgx.ConnectConfig(t.Context(), cfg)
}

func code(t *testing.T, err error) string {
	t.Helper()
	var pg *pgconn.PgError
	require.ErrorAs(t, err, &pg)
	return pg.Code
}

func TestNewest(t *testing.T) {
	server := pgtest.Newest(t, nil)
	require.GreaterOrEqual(t, server.Version(), 180000)
}
