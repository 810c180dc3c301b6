package pooltest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/pooltest"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source/file"
)

func TestPoolsFollow(t *testing.T) {
	srv := postgres(t)
	srv.Exec(t, orders)
	db := open(t, srv, srv.Store())
	config, err := pgx.ParseConfig(srv.DSN())
	require.NoError(t, err)
	r, err := refresh.New(t.Context(), file.JSON(srv.Store().File(t), nil), &refresh.Options{Name: "sql", Logger: quiet().Logger})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	sqldb, err := pool.OpenDB(t.Context(), pool.Postgres(config), r, quiet())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sqldb.Close()) })

	load := pooltest.StartLoad(t, 4, func(ctx context.Context) error {
		_, err := sqldb.ExecContext(ctx, "insert into orders (item) values ('tea')")
		return errors.Join(err, place(ctx, db))
	})
	before := user(t, db)
	srv.RotatePassword(t, db, sqldb)
	require.Equal(t, before, user(t, db))
	srv.RotateUser(t, db, sqldb)
	require.NotEqual(t, before, user(t, db))
	srv.Rotate(t) // judged by the server's sessions alone
	srv.Drained(t, db, sqldb)
	pooltest.Follows(t, srv.Store(), db, sqldb)
	report := load.NoFailures(t)
	require.Positive(t, report.Statements)
	require.Positive(t, report.P50)

	var left int
	require.NoError(t, db.QueryRow(t.Context(), "select count(*) from pg_roles where rolname like 'pooltest%app%'").Scan(&left))
	require.Equal(t, 1, left, "old users are dropped")
}

func user(t testing.TB, db *pool.ManagedPool) (name string) {
	t.Helper()
	require.NoError(t, db.QueryRow(t.Context(), "select session_user").Scan(&name))
	return name
}

// A pool that does not follow is what the rotations are there to find.
func TestRotationFindsWhoDoesNotFollow(t *testing.T) {
	srv := postgres(t)
	c, err := srv.Store().Credential(t.Context())
	require.NoError(t, err)
	stuck := pooltest.NewStore(c.Username, c.Password.Reveal())

	t.Run("pool", func(t *testing.T) {
		db, err := pool.Open(t.Context(), srv.DSN(), stuck, quiet())
		require.NoError(t, err)
		defer db.Close()
		require.NoError(t, db.Ping(t.Context()))
		why := failing(t, func(t testing.TB) { srv.RotatePassword(t, db) })
		require.Contains(t, why, "pool 1 (credential) logs in with version v1")
		require.Contains(t, why, "the store has version v2")
		require.Contains(t, why, "is older than the credential")
		require.NotContains(t, why, c.Password.Reveal())
	})
	t.Run("session", func(t *testing.T) {
		c, err := srv.Store().Credential(t.Context())
		require.NoError(t, err)
		config, err := pgxpool.ParseConfig(srv.DSN())
		require.NoError(t, err)
		config.ConnConfig.User, config.ConnConfig.Password = c.Username, c.Password.Reveal()
		raw, err := pgxpool.NewWithConfig(t.Context(), config)
		require.NoError(t, err)
		defer raw.Close()
		require.NoError(t, raw.Ping(t.Context()))

		passing(t, func(t testing.TB) { srv.Drained(t) })
		for _, rotate := range []func(testing.TB, ...pool.Reporter){srv.RotatePassword, srv.RotateUser} {
			why := failing(t, func(t testing.TB) { rotate(t) })
			require.Contains(t, why, "of "+c.Username+" is older than the credential")
		}
		require.NoError(t, raw.Ping(t.Context()), "a user who is in use is not dropped")
		raw.Close()
		srv.Drained(t)
		srv.RotateUser(t)
		passing(t, func(t testing.TB) { srv.Rotate(t) })
	})
}

func TestFollows(t *testing.T) {
	srv := postgres(t)
	db := open(t, srv, srv.Store())
	lent, err := db.Acquire(t.Context())
	require.NoError(t, err)
	defer lent.Release()
	why := failing(t, func(t testing.TB) { srv.RotatePassword(t, db) })
	require.Contains(t, why, "pool 1 (credential) is on generation 2 and still has 1 connections of generation 1")
	require.Contains(t, why, "of "+user(t, db)+" is older than the credential")
	why = attempt(t, 1100*time.Millisecond, func(t testing.TB) { pooltest.Follows(t, srv.Store(), db) })
	require.Contains(t, why, "1 connections of generation 1")
	lent.Release()
	pooltest.Follows(t, srv.Store(), db)
	srv.Drained(t, db)

	require.Contains(t, failing(t, func(t testing.TB) { pooltest.Follows(t, srv.Store()) }), "no pool")
	away := errors.New("the store is away")
	srv.Store().Fail(away)
	require.Contains(t, failing(t, func(t testing.TB) { pooltest.Follows(t, srv.Store(), db) }), away.Error())
	why = failing(t, func(t testing.TB) { srv.RotatePassword(t, db) })
	require.Contains(t, why, "logs in with version v2")
	srv.Store().Fail(nil)
	srv.Drained(t, db)
}

func TestChangePasswordLeavesTheStoreBehind(t *testing.T) {
	srv := postgres(t)
	config, err := pgx.ParseConfig(srv.DSN())
	require.NoError(t, err)
	login := func() error {
		c, err := srv.Store().Credential(t.Context())
		require.NoError(t, err)
		config.User, config.Password = c.Username, c.Password.Reveal()
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err == nil {
			err = conn.Close(t.Context())
		}
		return err
	}
	require.NoError(t, login())
	publish := srv.ChangePassword(t)
	var pg *pgconn.PgError
	require.ErrorAs(t, login(), &pg)
	require.Equal(t, "28P01", pg.Code)
	publish()
	require.NoError(t, login())
}

func TestAServiceThatOwnsItsTables(t *testing.T) {
	srv := postgres(t)
	db := open(t, srv, srv.Store())
	_, err := db.Exec(t.Context(), orders)
	require.NoError(t, err)
	why := failing(t, func(t testing.TB) { srv.RotateUser(t, db) })
	require.Contains(t, why, "owner of table orders")
	require.Contains(t, why, "OwnerDSN")
}

func TestExec(t *testing.T) {
	srv := postgres(t)
	srv.Exec(t, orders+"; create index on orders (item)")
	srv.Exec(t, "insert into orders (item) values ($1)", "tea")
	require.Contains(t, failing(t, func(t testing.TB) { srv.Exec(t, "select * from nothing") }), "42P01")
	conn, err := pgx.Connect(t.Context(), srv.OwnerDSN())
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var role, owner string
	require.NoError(t, conn.QueryRow(t.Context(),
		"select current_user, tableowner from pg_tables where tablename = 'orders'").Scan(&role, &owner))
	require.Equal(t, role, owner)
}
