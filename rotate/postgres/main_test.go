package postgres_test

import (
	"context"
	"crypto/rand"
	"log"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/source"
)

func TestMain(m *testing.M) {
	code := pgtest.Main(m)
	if newest.server != nil {
		if err := newest.server.Close(); err != nil {
			log.Println(err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// newest is the server of the newest version.
var newest struct {
	once   sync.Once
	server *pgserver.Server
	err    error
}

func newestServer(t *testing.T) *pgserver.Server {
	t.Helper()
	newest.once.Do(func() {
		var bin string
		if bin, newest.err = pgserver.Newest(context.Background(), os.Stderr); newest.err == nil {
			newest.server, newest.err = pgserver.Start(context.Background(), &pgserver.Options{Own: true, Binaries: bin, Settings: map[string]string{"max_prepared_transactions": "5", "shared_buffers": "4MB"}})
		}
	})
	require.NoError(t, newest.err)
	return newest.server
}

// onBoth runs a test on the server that all tests use, and on the newest: from
// PostgreSQL 16 on, CREATEROLE is less than it was.
func onBoth(t *testing.T, test func(*testing.T, *pgserver.Server)) {
	for name, server := range map[string]func(*testing.T) *pgserver.Server{
		"usual":  func(t *testing.T) *pgserver.Server { return pgtest.Server(t) },
		"newest": newestServer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, server(t))
		})
	}
}

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
