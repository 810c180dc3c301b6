package pooltest_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/pool/pooltest"
)

func TestOutage(t *testing.T) {
	t.Setenv(pgserver.EnvDSN, "") // one that can be stopped
	srv := pooltest.Postgres(t)
	srv.Exec(t, orders)
	db := open(t, srv, srv.Store())
	require.NoError(t, place(t.Context(), db))
	srv.Stop(t)
	require.Error(t, place(t.Context(), db))
	failing(t, func(t testing.TB) { srv.RotatePassword(t, db) })
	failing(t, func(t testing.TB) { srv.Drained(t, db) }) // who does not answer has not drained
	srv.Start(t)
	load := pooltest.StartLoad(t, 2, func(ctx context.Context) error { return place(ctx, db) })
	srv.Rotate(t, db)
	load.NoFailures(t)
}

// existing is a database as a container has it: migrated by its administrator.
func existing(t testing.TB) (db *pgtest.DB, adminDSN string) {
	t.Helper()
	db = pgtest.Database(t)
	u, err := url.Parse(db.Server.DSN())
	require.NoError(t, err)
	u.Path = "/" + db.Name
	return db, u.String()
}

// roles counts the users that pooltest has made on the shared server.
func roles(t testing.TB) (n int) {
	t.Helper()
	require.NoError(t, pgtest.Server(t).Do(t.Context(), func(conn *pgx.Conn) error {
		return conn.QueryRow(t.Context(), `select (select count(*) from pg_roles where rolname like 'pooltest%')
			+ (select count(*) from pg_database where datname like 'pooltest%')`).Scan(&n)
	}))
	return n
}

func TestOnADatabaseThatExists(t *testing.T) {
	admin, dsn := existing(t)
	conn := admin.Admin()
	defer conn.Close(t.Context())
	odd := admin.Role(`odd "owner\ x`)
	_, err := conn.Exec(t.Context(), "create role "+pgserver.QuoteIdent(odd)+"; create table of_odd (); alter table of_odd owner to "+pgserver.QuoteIdent(odd)+
		"; create table of_admin (); grant connect on database "+pgserver.QuoteIdent(admin.Name)+" to public")
	require.NoError(t, err)

	for owner, table := range map[string]string{"": "of_admin", admin.Group: "orders", odd: "of_odd"} {
		passing(t, func(t testing.TB) {
			srv := pooltest.On(t, dsn, owner)
			db := open(t, srv, srv.Store())
			load := pooltest.StartLoad(t, 2, func(ctx context.Context) error {
				_, err := db.Exec(ctx, "select * from "+table)
				return err
			})
			srv.Rotate(t, db)
			load.NoFailures(t)
			srv.Exec(t, "select * from "+table)

			_, err := db.Exec(t.Context(), "create table by_service_"+table+" ()")
			if owner == "" {
				require.NoError(t, err)
			}
			require.Contains(t, failing(t, func(t testing.TB) { srv.Stop(t) }), "is not stopped")
		})
		require.Zero(t, roles(t), owner)
	}
	_, err = conn.Exec(t.Context(), "table by_service_of_admin; drop table of_odd; drop role "+pgserver.QuoteIdent(odd))
	require.NoError(t, err, "what the service has made stays, with the owner")
}

func TestOnNeedsToSee(t *testing.T) {
	admin, dsn := existing(t)
	conn := admin.Admin()
	defer conn.Close(t.Context())
	maker := admin.Role("maker")
	_, err := conn.Exec(t.Context(), "create role "+maker+" login createrole password 'made-up'; grant "+admin.Group+" to "+maker+" with admin option")
	require.NoError(t, err)
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	u.User = url.UserPassword(maker, "made-up")

	why := failing(t, func(t testing.TB) { pooltest.On(t, u.String(), admin.Group) })
	require.Contains(t, why, "run: grant pg_read_all_stats to")
	_, err = conn.Exec(t.Context(), "grant pg_read_all_stats to "+maker)
	require.NoError(t, err)
	passing(t, func(t testing.TB) {
		srv := pooltest.On(t, u.String(), admin.Group)
		srv.Rotate(t, open(t, srv, srv.Store()))
	})
	require.Zero(t, roles(t))
}

func TestAGivenServerIsLeftAsItWas(t *testing.T) {
	t.Setenv(pgserver.EnvDSN, pgtest.Server(t).DSN())
	outer := t
	passing(t, func(t testing.TB) {
		srv := pooltest.Postgres(t)
		srv.Exec(t, orders)
		db := open(t, srv, srv.Store())
		require.NoError(t, place(t.Context(), db))
		srv.Rotate(t, db)
		lent, err := db.Acquire(t.Context())
		require.NoError(t, err)
		open := lent.Hijack() // and nobody closes it
		outer.Cleanup(func() { _ = open.Close(context.Background()) })
	})
	require.Zero(t, roles(t))
}

func TestNoServerSaysWhatHelps(t *testing.T) {
	why := failing(t, func(t testing.TB) { pooltest.On(t, "host=db user=postgres password=hidden", "") })
	require.Contains(t, why, "must be a URL")
	require.NotContains(t, why, "hidden")
	t.Setenv(pgserver.EnvDSN, "postgres://postgres:hidden@127.0.0.1:1/postgres")
	why = failing(t, func(t testing.TB) { pooltest.Postgres(t) })
	require.Contains(t, why, "the server given by DSN")
	require.NotContains(t, why, "hidden")
	t.Setenv(pgserver.EnvDSN, "")
	t.Setenv(pgserver.EnvBinaries, t.TempDir())
	require.Contains(t, failing(t, func(t testing.TB) { pooltest.Postgres(t) }), "correct "+pgserver.EnvBinaries)
}
