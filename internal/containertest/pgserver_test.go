package containertest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/containertest"
	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
)

// The root module's tests get their PostgreSQL from Docker where none is installed.
func TestPgserverFromAnImage(t *testing.T) {
	s := pgtest.New(t, &pgserver.Options{Image: containertest.Postgres(t), HBA: []string{"host all barred all reject"}})
	db := pgtest.On(t, s)
	require.Contains(t, db.DSN, "verify-full")
	db.CreateUser("barred", "secret")
	cfg, err := pgx.ParseConfig(db.DSN)
	require.NoError(t, err)
	cfg.User, cfg.Password = "barred", "secret"
	var pg *pgconn.PgError
	_, err = pgx.ConnectConfig(t.Context(), cfg)
	require.ErrorAs(t, err, &pg)
	require.Equal(t, "28000", pg.Code)

	cfg.User = db.Role("app")
	db.CreateUser(cfg.User, cfg.Password)
	order := func() {
		t.Helper()
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		require.NoError(t, err)
		defer conn.Close(t.Context())
		_, err = conn.Exec(t.Context(), "insert into orders (item, qty) values ('tea', 1)")
		require.NoError(t, err)
	}
	order()
	require.NoError(t, s.Restart(t.Context()))
	order()
	require.NoError(t, s.Crash(t.Context()))
	_, err = pgx.ConnectConfig(t.Context(), cfg)
	require.Error(t, err)
	require.NoError(t, s.Start(t.Context()))
	order()
}
