package pgserver_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
)

func TestStartIsQuickAndSpeaksVerifiedTLS(t *testing.T) {
	began := time.Now()
	s := pgtest.New(t, nil)
	t.Logf("version %d ready after %v", s.Version(), time.Since(began).Round(time.Millisecond))

	conn, err := s.Admin(t.Context())
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var version string
	require.NoError(t, conn.QueryRow(t.Context(), "select version from pg_stat_ssl where pid = pg_backend_pid()").Scan(&version))
	require.Equal(t, "TLSv1.3", version)

	// Another authority does not vouch for this server.
	other := pgtest.New(t, nil)
	u, err := url.Parse(s.DSN())
	require.NoError(t, err)
	u.RawQuery = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {other.CAFile()}}.Encode()
	_, err = pgx.Connect(t.Context(), u.String())
	require.ErrorContains(t, err, "certificate")
}

func TestAppDSNHasNoCredential(t *testing.T) {
	s := pgtest.Server(t)
	u, err := url.Parse(s.AppDSN())
	require.NoError(t, err)
	require.Nil(t, u.User)
	require.NotEmpty(t, u.Query().Get("sslmode"))
	require.NotContains(t, s.DatabaseDSN("shop"), "@")

	cfg, err := pgx.ParseConfig(s.DatabaseDSN("shop"))
	require.NoError(t, err)
	host, port := s.Addr()
	require.Equal(t, "shop", cfg.Database)
	require.Equal(t, host, cfg.Host)
	require.Equal(t, port, cfg.Port)
}

func TestWrongPasswordIsRejected(t *testing.T) {
	db := pgtest.Database(t)
	user := db.Role("app")
	db.CreateUser(user, "right")

	_, err := login(t, db.DSN, user, "wrong")
	requireCode(t, err, "28P01")
	conn, err := login(t, db.DSN, user, "right")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

func TestRestartKeepsPortAndData(t *testing.T) {
	s := pgtest.New(t, nil)
	db := pgtest.On(t, s)
	user := db.Role("app")
	db.CreateUser(user, "secret")
	conn, err := login(t, db.DSN, user, "secret")
	require.NoError(t, err)
	defer conn.Close(t.Context())

	_, before := s.Addr()
	for i, down := range []func(context.Context) error{s.Crash, s.Stop} {
		password := fmt.Sprint("changed just before ", i)
		db.SetPassword(user, password)
		require.NoError(t, down(t.Context()))
		_, err = login(t, db.DSN, user, password)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.Error(t, s.Exec(t.Context(), "select 1"))
		require.NoError(t, s.Start(t.Context()))
		_, after := s.Addr()
		require.Equal(t, before, after)
		again, err := login(t, db.DSN, user, password)
		require.NoError(t, err, "what was committed is not lost")
		require.NoError(t, again.Close(t.Context()))
	}
	db.SetPassword(user, "secret")
	require.Error(t, conn.Ping(t.Context()), "the old session is gone")
	require.NoError(t, s.Restart(t.Context()))
	conn, err = login(t, db.DSN, user, "secret")
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "insert into orders (item, qty) values ('tea', 1)")
	require.NoError(t, err)
}

func TestStopAndStartTwice(t *testing.T) {
	s := pgtest.New(t, nil)
	require.NoError(t, s.Exec(t.Context(), "select 1"))
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, s.Stop(t.Context()), "stopped already")
	require.NoError(t, s.Start(t.Context()))
	require.NoError(t, s.Start(t.Context()), "started already")
	require.NoError(t, s.Exec(t.Context(), "select 1"), "the lasting connection is opened again")
}

func TestHBAAndSettingsComeFirst(t *testing.T) {
	s := pgtest.New(t, &pgserver.Options{
		HBA:      []string{"host all barred all reject"},
		Settings: map[string]string{"max_connections": "17"},
	})
	db := pgtest.On(t, s)
	db.CreateUser("barred", "secret")
	_, err := login(t, db.DSN, "barred", "secret")
	requireCode(t, err, "28000")
	var got string
	require.NoError(t, s.Do(t.Context(), func(conn *pgx.Conn) error {
		return conn.QueryRow(t.Context(), "show max_connections").Scan(&got)
	}))
	require.Equal(t, "17", got)
}

func TestBadSettingShowsTheLog(t *testing.T) {
	_, err := pgserver.Start(t.Context(), &pgserver.Options{Own: true, Settings: map[string]string{"no_such_setting": "1"}})
	require.ErrorContains(t, err, "no_such_setting")
}

func TestCloseLeavesNothing(t *testing.T) {
	s, err := pgserver.Start(t.Context(), &pgserver.Options{Own: true, Log: t.Output()})
	require.NoError(t, err)
	require.NoError(t, s.Exec(t.Context(), "select 1"))
	dir := filepath.Dir(s.CAFile())
	pids := processes(t, dir)

	require.NoError(t, s.Close())
	require.NoDirExists(t, dir)
	for _, pid := range pids {
		require.NoDirExists(t, filepath.Join("/proc", pid))
	}
	host, port := s.Addr()
	_, err = net.DialTimeout("tcp", net.JoinHostPort(host, strconv.Itoa(int(port))), time.Second)
	require.Error(t, err)
	require.NoError(t, s.Close(), "once more")
}

func TestCancelledStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := pgserver.Start(ctx, &pgserver.Options{Own: true})
	require.ErrorIs(t, err, context.Canceled)
}

func TestGivenServerIsNotStopped(t *testing.T) {
	ours := pgtest.Server(t)
	s, err := pgserver.Start(t.Context(), &pgserver.Options{DSN: ours.DSN()})
	require.NoError(t, err)
	require.Equal(t, ours.Version(), s.Version())
	require.Equal(t, ours.AppDSN(), s.AppDSN())
	require.Equal(t, ours.CAFile(), s.CAFile())
	require.ErrorIs(t, s.Restart(t.Context()), pgserver.ErrNotOurs)
	require.ErrorIs(t, s.Start(t.Context()), pgserver.ErrNotOurs)
	require.NoError(t, s.Exec(t.Context(), "select 1"))
	require.NoError(t, s.Close())
	require.NoError(t, ours.Exec(t.Context(), "select 1"))

	_, err = pgserver.Start(t.Context(), &pgserver.Options{DSN: "host=localhost user=postgres"})
	require.ErrorContains(t, err, "postgres://user:password@host")
}

func TestBinariesThatAreNotThere(t *testing.T) {
	_, err := pgserver.Start(t.Context(), &pgserver.Options{Own: true, Binaries: t.TempDir()})
	require.ErrorContains(t, err, pgserver.EnvBinaries)
}

// login opens a connection with a user name and password beside the DSN.
func login(t *testing.T, dsn, user, password string) (*pgx.Conn, error) {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	cfg.User, cfg.Password = user, password
	return pgx.ConnectConfig(t.Context(), cfg)
}

func requireCode(t *testing.T, err error, code string) {
	t.Helper()
	var pg *pgconn.PgError
	require.ErrorAs(t, err, &pg)
	require.Equal(t, code, pg.Code)
}
