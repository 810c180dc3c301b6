package verify_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/pool/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(suite{m}) }

// A suite closes the servers that its tests and examples have shared.
type suite struct{ *testing.M }

func (s suite) Run() int {
	code := pgtest.Suite{Runner: s.M}.Run()
	return max(code, closeExampleServer())
}

// A bench is a database, its superuser, and roles that own nothing.
type bench struct {
	*pgtest.DB
	t     testing.TB
	admin *pgx.Conn
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{DB: pgtest.Database(t), t: t}
	b.admin = b.Admin()
	t.Cleanup(func() { b.admin.Close(context.Background()) })
	return b
}

// role makes a role that may log in, with the options of CREATE ROLE.
func (b *bench) role(base, options string) string {
	b.t.Helper()
	name := b.Role(base)
	quoted := pgserver.QuoteIdent(name)
	b.do("create role " + quoted + " login password 'secret' " + options)
	b.do("grant connect on database " + pgserver.QuoteIdent(b.Name) + " to " + quoted)
	b.t.Cleanup(func() {
		_, err := b.admin.Exec(context.Background(), "drop owned by "+quoted+" cascade; drop role "+quoted)
		require.NoError(b.t, err)
	})
	return name
}

// do runs SQL as the superuser, with names filled in for %[1]s and so on.
func (b *bench) do(sql string, names ...string) {
	b.t.Helper()
	quoted := make([]any, len(names))
	for i, name := range names {
		quoted[i] = pgserver.QuoteIdent(name)
	}
	if len(quoted) > 0 {
		sql = fmt.Sprintf(sql, quoted...)
	}
	_, err := b.admin.Exec(b.t.Context(), sql)
	require.NoError(b.t, err, sql)
}

func (b *bench) login(user string, mode ...pgx.QueryExecMode) *pgx.Conn {
	b.t.Helper()
	config, err := pgx.ParseConfig(b.DSN)
	require.NoError(b.t, err)
	config.User, config.Password = user, "secret"
	for _, m := range mode {
		config.DefaultQueryExecMode = m
	}
	conn, err := pgx.ConnectConfig(b.t.Context(), config)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (b *bench) count(sql string) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.admin.QueryRow(b.t.Context(), sql).Scan(&n))
	return n
}

// missing returns the rights that err says are missing, each with its object.
func missing(t testing.TB, err error) (rights []string) {
	t.Helper()
	var e *verify.MissingError
	require.ErrorAs(t, err, &e)
	for _, m := range e.Missing {
		rights = append(rights, m.Right+" on "+m.Object)
	}
	return rights
}

func requireCode(t testing.TB, err error, code string) {
	t.Helper()
	var pg *pgconn.PgError
	require.ErrorAs(t, err, &pg)
	require.Equal(t, code, pg.Code, err)
}

func setting(t testing.TB, conn *pgx.Conn) (s string) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), "show work_mem").Scan(&s))
	return s
}
