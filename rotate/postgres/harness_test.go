package postgres_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/pool/verify"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/internal/cut"
	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/rotate/rotatetest"
	"github.com/rekey-go/rekey/source"
)

// A house is a database with users who rotate, and a rotator who has no more
// rights than the package's documentation lists.
type house struct {
	t       *testing.T
	db      *pgtest.DB
	rotator string
	first   source.Credential
	other   string // the second of the alternating users
}

// newHouse names the users after odd, which is part of every name.
func newHouse(t *testing.T, server *pgserver.Server, odd string) *house {
	h := &house{t: t, db: pgtest.On(t, server)}
	h.rotator = h.db.Role("rotator" + odd)
	h.first = source.Credential{Username: h.db.Role("one" + odd), Password: source.NewSecret("canary-" + rand.Text()), Version: "first"}
	h.other = h.db.Role("two" + odd)
	var all strings.Builder
	for user, password := range map[string]string{h.rotator: "rotator's", h.first.Username: h.first.Password.Reveal(), h.other: "nobody's"} {
		fmt.Fprintf(&all, "create role %[1]s login in role %[2]s; alter role %[1]s set role to %[2]s; alter role %[1]s%[3]s; ",
			pgserver.QuoteIdent(user), pgserver.QuoteIdent(h.db.Group), h.password(password))
	}
	all.WriteString(fill("alter role %[1]s set default_transaction_isolation to serializable; alter role %[1]s set default_transaction_read_only to on; alter role %[1]s set datestyle to German; ", h.rotator))
	all.WriteString(fill("alter role %[1]s createrole; alter role %[1]s reset role; grant connect on database %[5]s to %[1]s; grant pg_read_all_stats to %[1]s; grant %[2]s, %[3]s, %[4]s to %[1]s with admin option",
		h.rotator, h.db.Group, h.first.Username, h.other, h.db.Name))
	require.NoError(t, server.Exec(t.Context(), all.String()))
	return h
}

// password is the clause that sets a password, which nobody gets to see.
func (h *house) password(text string) string {
	verifier, err := postgres.CheapVerifier(source.NewSecret(text))
	require.NoError(h.t, err)
	literal, err := postgres.Literal(verifier.Reveal())
	require.NoError(h.t, err)
	return " password " + literal
}

// do runs a statement with names in it as superuser.
func (h *house) do(statement string, names ...string) {
	h.t.Helper()
	admin := h.db.Admin()
	defer admin.Close(context.Background()) //nolint:errcheck // the statement counts
	_, err := admin.Exec(h.t.Context(), fill(statement, names...))
	require.NoError(h.t, err)
}

// superuserIn opens a session of the superuser in another database.
func (h *house) superuserIn(database string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(h.db.Server.DSN())
	require.NoError(h.t, err)
	config.Database = database
	return pgx.ConnectConfig(h.t.Context(), config)
}

// config returns a configuration whose connections can be broken.
func (h *house) config() (*postgres.Config, *cut.Line) {
	h.t.Helper()
	line := &cut.Line{End: h.end}
	login, err := pgx.ParseConfig(h.db.DSN)
	require.NoError(h.t, err)
	login.TLSConfig = nil // hundreds of logins
	admin := login.Copy()
	admin.User, admin.Password = h.rotator, "rotator's"
	login.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return line.Dial(ctx, network, addr, nil)
	}
	return &postgres.Config{
		Admin: func(ctx context.Context) (*pgx.Conn, error) {
			config := admin.Copy()
			session := new(cut.Session)
			config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
				return line.Dial(ctx, network, addr, session)
			}
			config.AfterConnect = func(_ context.Context, conn *pgconn.PgConn) error {
				session.ID = uint64(conn.PID())
				return nil
			}
			return pgx.ConnectConfig(ctx, config)
		},
		Login:  login,
		Verify: verify.Privileges(verify.On("orders", "select", "insert")),
	}, line
}

// adminIn opens sessions of the rotator in another database.
func (h *house) adminIn(database string) func(context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(h.db.Server.DatabaseDSN(database))
	require.NoError(h.t, err)
	config.User, config.Password, config.TLSConfig = h.rotator, "rotator's", nil
	return func(ctx context.Context) (*pgx.Conn, error) { return pgx.ConnectConfig(ctx, config) }
}

// end ends a session and waits until it is gone. The server's own waiting looks
// every 100 ms only.
func (h *house) end(pid uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := h.db.Server.Do(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "select pg_terminate_backend($1)", pid)
		for left := true; left && err == nil; {
			err = conn.QueryRow(ctx, "select exists (select from pg_stat_activity where pid = $1)", pid).Scan(&left)
		}
		return err
	})
	if err != nil {
		h.t.Error(err)
	}
}

// harness is for the suite.
func (h *house) harness(open func(*postgres.Config) (rotate.Target, error)) rotatetest.TargetHarness {
	config, line := h.config()
	target, err := open(config)
	require.NoError(h.t, err)
	second, _ := h.config()
	second.Admin = h.adminIn("postgres") // where advisory locks are others
	other, err := open(second)
	require.NoError(h.t, err)
	return rotatetest.TargetHarness{
		Target: postgres.Cheap(target), Other: postgres.Cheap(other), Current: h.first,
		Overwrite: func(_ *testing.T, user, password string) {
			h.do("alter role %s"+h.password(password), user)
		},
		Weaken: func(*testing.T, string) { h.do("revoke select on orders from %s", h.db.Group) },
		Fail:   line.Fail,
		Down:   line.Down,
		Seen:   func(t *testing.T) string { return seen(t, h.db) },
	}
}

// seen is the server's log, with every statement, and what it shows of sessions.
func seen(t *testing.T, db *pgtest.DB) (all string) {
	admin := db.Admin()
	defer admin.Close(context.Background()) //nolint:errcheck // it was read
	require.NoError(t, admin.QueryRow(t.Context(), `select pg_read_file(pg_current_logfile()) || string_agg(query, '; ') from pg_stat_activity`).Scan(&all))
	return all
}

// fill puts quoted names in the place of %s. Not all have to be used.
func fill(statement string, names ...string) string {
	if !strings.Contains(statement, "%") {
		return statement
	}
	quoted := make([]any, len(names))
	for i, name := range names {
		quoted[i] = pgserver.QuoteIdent(name)
	}
	return fmt.Sprintf(statement, quoted...)
}
