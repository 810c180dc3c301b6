package pgbouncer_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgbouncer"
	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
)

// These tests record what a PgBouncer answers. In short:
//   - Every refusal is FATAL 08P01, whatever SQLSTATE the server gave. Only the
//     text differs, which is shown here for version 1.18.
//   - A login that the pooler grants says nothing about the server's: that one
//     comes with a statement, if no server session is at hand, and then the
//     statement fails with FATAL 08P01, before it has reached a server.
//   - pgx marks none of this as safe to repeat. A refused login is a
//     ConnectError as ever, a refused statement is a bare PgError.

const refused = "08P01"

// bouncer starts one in which clients wait a second for the server, and three
// after a failed login there.
func bouncer(t *testing.T, server *pgserver.Server, mode string, settings map[string]string) *pgbouncer.Bouncer {
	t.Helper()
	all := map[string]string{"query_wait_timeout": "1"}
	maps.Copy(all, settings)
	b, err := pgbouncer.Start(t.Context(), server, &pgbouncer.Options{
		PoolMode: mode, ServerLoginRetry: 3 * time.Second, Settings: all, Log: t.Output(),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func TestRefusedLogins(t *testing.T) {
	cases := []struct {
		name   string
		text   string // begins with this in 1.18
		direct string // what the server itself says
		spoil  func(t *testing.T, db *pgtest.DB, user string)
		login  string // as whom, if not as the user
	}{
		{
			name: "wrong password", text: "SASL authentication failed", direct: "28P01",
			spoil: func(_ *testing.T, db *pgtest.DB, user string) { db.SetPassword(user, "another") },
		},
		{name: "unknown user", text: "no such user", direct: "28P01", login: "unknown"},
		{
			name: "dropped user", text: "no such user", direct: "28P01",
			spoil: func(_ *testing.T, db *pgtest.DB, user string) { db.DropUser(user) },
		},
		{
			name: "user may not log in", text: "no such user", direct: "28000",
			spoil: func(_ *testing.T, db *pgtest.DB, user string) { db.NoLogin(user) },
		},
		{
			name: "password has expired", text: "password authentication failed for user", direct: "28P01",
			spoil: func(t *testing.T, db *pgtest.DB, user string) {
				alter(t, db, user, "valid until '2001-01-01'")
			},
		},
		{
			name: "no right to connect", text: "permission denied for database", direct: "42501",
			spoil: func(t *testing.T, db *pgtest.DB, user string) {
				require.NoError(t, db.Server.Exec(t.Context(),
					"revoke "+pgserver.QuoteIdent(db.Group)+" from "+pgserver.QuoteIdent(user)))
				t.Cleanup(func() { db.DropUser(user) }) // it is no member that would be dropped
			},
		},
		{
			name: "too many sessions", text: "too many connections for role", direct: "53300",
			spoil: func(t *testing.T, db *pgtest.DB, user string) { alter(t, db, user, "connection limit 0") },
		},
	}
	b := bouncer(t, pgtest.Server(t), "session", nil)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			db := pgtest.Database(t)
			user := db.Role("app")
			db.CreateUser(user, "secret")
			if c.spoil != nil {
				c.spoil(t, db, user)
			}
			if c.login != "" {
				user = c.login
			}
			_, err := login(t, db.DSN, user, "secret")
			require.Equal(t, c.direct, fatal(t, err).Code)

			_, err = login(t, b.DatabaseDSN(db.Name), user, "secret")
			refusal := fatal(t, err)
			require.Equal(t, refused, refusal.Code)
			if strings.Contains(b.Log(), "PgBouncer 1.18") {
				require.True(t, strings.HasPrefix(refusal.Message, c.text), refusal.Message)
			}
			var connect *pgconn.ConnectError
			require.ErrorAs(t, err, &connect)
			require.False(t, pgconn.SafeToRetry(err))
		})
	}
}

func TestTooManyClients(t *testing.T) {
	db := pgtest.Database(t)
	b := bouncer(t, db.Server, "transaction", map[string]string{"max_client_conn": "1"})
	user := db.Role("app")
	db.CreateUser(user, "secret")
	// The connection that asked whether it is ready may not have ended yet.
	require.Eventually(t, func() bool {
		_, err := login(t, b.DatabaseDSN(db.Name), user, "secret")
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	_, err := login(t, b.DatabaseDSN(db.Name), user, "secret")
	require.Equal(t, refused, fatal(t, err).Code) // no more connections allowed (max_client_conn)
}

// A database that is not there is tried for until query_wait_timeout ends.
func TestUnknownDatabase(t *testing.T) {
	db := pgtest.Database(t)
	b := bouncer(t, db.Server, "session", nil)
	_, err := login(t, b.DatabaseDSN("nowhere"), "anybody", "secret")
	t.Log(err)
	require.Error(t, err)
}

func TestPasswordChangeIsSeenAtTheNextLogin(t *testing.T) {
	for _, mode := range []string{"session", "transaction"} {
		t.Run(mode, func(t *testing.T) {
			db := pgtest.Database(t)
			b := bouncer(t, db.Server, mode, nil)
			user := db.Role("app")
			db.CreateUser(user, "one")
			old, err := login(t, b.DatabaseDSN(db.Name), user, "one")
			require.NoError(t, err)
			require.NoError(t, exec(t, old))

			db.SetPassword(user, "two")
			_, err = login(t, b.DatabaseDSN(db.Name), user, "one")
			require.Equal(t, refused, fatal(t, err).Code)
			young, err := login(t, b.DatabaseDSN(db.Name), user, "two")
			require.NoError(t, err)
			require.NoError(t, exec(t, young))
			require.NoError(t, exec(t, old), "it has its server session, or shares the young one's")
		})
	}
}

// The pooler keeps the key of the latest login. After a change of the password
// a client that logged in before makes it try the old key, and that spoils it
// for the others, who have the right password, for the time of
// server_login_retry.
func TestServerLoginRejectedAfterPasswordChange(t *testing.T) {
	db := pgtest.Database(t)
	b := bouncer(t, db.Server, "transaction", nil)
	user := db.Role("app")
	db.CreateUser(user, "one")
	old, err := login(t, b.DatabaseDSN(db.Name), user, "one")
	require.NoError(t, err)
	require.NoError(t, exec(t, old))
	waiting, err := login(t, b.DatabaseDSN(db.Name), user, "one")
	require.NoError(t, err)

	db.SetPassword(user, "two")
	require.Equal(t, 1, db.EndSessions(user))
	require.Eventually(t, func() bool { return db.Sessions(user) == 0 }, patience, 10*time.Millisecond)
	failed := make(chan error, 1)
	go func() { failed <- exec(t, old) }()
	require.Equal(t, refused, fatal(t, <-failed).Code) // query_wait_timeout, or server conn crashed?

	refusals := 0
	began := time.Now()
	require.Eventually(t, func() bool {
		young, err := login(t, b.DatabaseDSN(db.Name), user, "two")
		require.NoError(t, err, "the pooler knows the new password")
		if err = exec(t, young); err == nil {
			return true
		}
		refusals++
		require.Equal(t, refused, fatal(t, err).Code) // server login has been failing, try again later (server_login_retry)
		var connect *pgconn.ConnectError
		require.NotErrorAs(t, err, &connect, "it comes with the statement")
		require.False(t, pgconn.SafeToRetry(err))
		return false
	}, patience, 50*time.Millisecond)
	t.Logf("%d statements of clients with the right password were refused, for %v", refusals, time.Since(began).Round(10*time.Millisecond))
	require.NotZero(t, refusals)
	t.Log("a client that logged in before: ", exec(t, waiting))
}

func TestServerSessionOutlivesItsUser(t *testing.T) {
	db := pgtest.Database(t)
	b := bouncer(t, db.Server, "transaction", nil)
	user := db.Role("app")
	db.CreateUser(user, "secret")
	c, err := login(t, b.DatabaseDSN(db.Name), user, "secret")
	require.NoError(t, err)
	require.NoError(t, exec(t, c))
	db.DropUser(user)
	require.NoError(t, exec(t, c))
}

func TestServerAway(t *testing.T) {
	s := pgtest.New(t, nil)
	db := pgtest.On(t, s)
	b := bouncer(t, s, "transaction", nil)
	user := db.Role("app")
	db.CreateUser(user, "secret")
	c, err := login(t, b.DatabaseDSN(db.Name), user, "secret")
	require.NoError(t, err)
	require.NoError(t, exec(t, c))

	require.NoError(t, s.Stop(t.Context()))
	require.Equal(t, refused, fatal(t, exec(t, c)).Code) // query_wait_timeout
	_, err = login(t, b.DatabaseDSN(db.Name), user, "secret")
	require.Equal(t, refused, fatal(t, err).Code) // server login has been failing, try again later (server_login_retry)

	require.NoError(t, s.Start(t.Context()))
	began := time.Now()
	require.Eventually(t, func() bool {
		c, err := login(t, b.DatabaseDSN(db.Name), user, "secret")
		return err == nil && exec(t, c) == nil
	}, patience, 20*time.Millisecond)
	t.Logf("serves again %v after the server's return", time.Since(began).Round(10*time.Millisecond))
}

const patience = 30 * time.Second

func alter(t *testing.T, db *pgtest.DB, user, what string) {
	t.Helper()
	require.NoError(t, db.Server.Exec(t.Context(), "alter role "+pgserver.QuoteIdent(user)+" "+what))
}

func login(t *testing.T, dsn, user, password string) (*pgx.Conn, error) {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	cfg.User, cfg.Password = user, password
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err == nil {
		t.Cleanup(func() { c.Close(context.Background()) })
	}
	return c, err
}

func exec(t *testing.T, c *pgx.Conn) error {
	_, err := c.Exec(t.Context(), "select 1")
	return err
}

// fatal is the server's or the pooler's last word.
func fatal(t *testing.T, err error) *pgconn.PgError {
	t.Helper()
	var pg *pgconn.PgError
	require.ErrorAs(t, err, &pg)
	require.Equal(t, "FATAL", pg.Severity)
	t.Logf("%s %q", pg.Code, pg.Message)
	return pg
}
