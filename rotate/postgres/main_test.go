package postgres_test

import (
	"context"
	"crypto/rand"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/source"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// A role is one that may log in, on a connection of the superuser.
type role struct {
	name string
	conn *pgx.Conn
}

// newRole makes a role that goes with the test.
func newRole(t testing.TB, name string) role {
	t.Helper()
	server := pgtest.Server(t)
	conn, err := server.Admin(t.Context())
	require.NoError(t, err)
	r := role{name + rand.Text()[:8], conn}
	require.NoError(t, r.exec(t, "create role ", " login"))
	t.Cleanup(func() {
		quoted, err := postgres.Ident(r.name)
		require.NoError(t, err)
		_, err = conn.Exec(context.Background(), "drop role "+quoted)
		require.NoError(t, err)
		require.NoError(t, conn.Close(context.Background()))
	})
	return r
}

func (r role) exec(t testing.TB, before, after string) error {
	t.Helper()
	quoted, err := postgres.Ident(r.name)
	require.NoError(t, err)
	_, err = r.conn.Exec(t.Context(), before+quoted+after)
	return err
}

// set gives the role a password, or a verifier, and returns what the server has
// stored.
func (r role) set(t testing.TB, text source.Secret) source.Secret {
	t.Helper()
	literal, err := postgres.Literal(text.Reveal())
	require.NoError(t, err)
	require.NoError(t, r.exec(t, "alter role ", " password "+literal))
	var stored string
	require.NoError(t, r.conn.QueryRow(t.Context(), "select rolpassword from pg_authid where rolname = $1", r.name).Scan(&stored))
	return source.NewSecret(stored)
}

func (r role) login(t testing.TB, password string) error {
	t.Helper()
	config, err := pgx.ParseConfig(pgtest.Server(t).AppDSN())
	require.NoError(t, err)
	config.User, config.Password = r.name, password
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		return err
	}
	return conn.Close(t.Context())
}
