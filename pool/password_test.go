package pool_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/source"
)

// odd are texts that get lost wherever somebody builds a connection string, an
// SQL statement or a log line of them.
var odd = map[string]string{
	"spaces":           "two  words and more",
	"blanks around":    " leading and trailing ",
	"quotes":           `it's "quoted" and \'escaped\'`,
	"URL":              "a@b:c/d?e=f&g=h#i%41%zz",
	"backslashes":      `\\server\share\n\0`,
	"injected keys":    "x host=evil port=1 sslmode=disable",
	"injected quotes":  "x' host='evil",
	"dollars":          "$1 ${HOME} $$body$$",
	"unicode":          "пароль 密码 ñandú ß ø",
	"emoji":            "🔑🐘 👩‍👩‍👧",
	"combining":        "é vs é",
	"long":             strings.Repeat("0123456789 äöü ", 20),
	"control":          "tab\tnewline\ncarriage\rbell\a",
	"md5 look":         "md5" + strings.Repeat("0", 31) + "g",
	"percent":          "%s %d %v %!(EXTRA)",
	"semicolon":        "'; drop table orders; --",
	"braces":           "{{.Password}} {$ref} [redacted]",
	"one blank":        " ",
	"non-breaking":     "non\u00a0breaking\u3000spaces",
	"right to left":    "\u202eright\u202c to left",
	"unassigned":       "\U000e0123 \u0378",
	"equals and comma": "a=b,c=d;e=f",
}

func TestF36OddPasswordsLogInUnchanged(t *testing.T) {
	b := newBench(t)
	p := b.open(2, nil)
	db := b.openDB(pool.Postgres(b.connConfig()))
	for name, password := range odd {
		t.Run(name, func(t *testing.T) {
			b.SetPassword(b.user, password)
			b.store.Set(source.Credential{Username: b.user, Password: source.NewSecret(password), Version: name})
			require.NoError(t, p.Refresher().Refresh(t.Context()))
			require.NoError(t, db.Refresher().Refresh(t.Context()))
			require.Equal(t, name, p.Health().Version)
			require.Equal(t, name, db.Health().Version)
			p.Reset()
			require.NoError(t, selectOne(t.Context(), p))
			require.NoError(t, db.PingContext(t.Context()))
		})
	}
}

// PostgreSQL normalizes passwords with SASLprep before it compares them, pgx by
// another rule, so some logins fail with pgx whoever makes them.
func TestF36PasswordsReachPgxUnchanged(t *testing.T) {
	b := newBench(t)
	for _, password := range []string{"ligature ﬁ", "number ①", "soft\u00adhyphen", "joined\u200dword", "Å of two kinds: A\u030a"} {
		b.SetPassword(b.user, password)
		b.store.Set(source.Credential{Username: b.user, Password: source.NewSecret(password)})
		config := b.config(1)
		config.ConnConfig.User, config.ConnConfig.Password = b.user, password
		_, want := pgx.ConnectConfig(t.Context(), config.ConnConfig)
		var sent string
		config.ConnConfig.AfterNetConnect = func(_ context.Context, c *pgconn.Config, conn net.Conn) (net.Conn, error) {
			sent = c.Password
			return conn, nil
		}
		p, got := pool.New(t.Context(), config, b.refresher(nil), nil)
		require.Equal(t, password, sent)
		require.Equal(t, want == nil, got == nil, "%v %v", want, got)
		if got == nil {
			p.Close()
		}
	}
}

func TestF36OddUserNamesLogInUnchanged(t *testing.T) {
	b := newBench(t)
	p := b.open(2, nil)
	db := b.openDB(pool.Postgres(b.connConfig()))
	for name, text := range odd {
		t.Run(name, func(t *testing.T) {
			user := b.Role(text)
			if most := 63; len(user) > most { // PostgreSQL cuts longer names
				user = strings.ToValidUTF8(user[len(user)-most:], "")
			}
			b.CreateUser(user, "password of "+text)
			b.store.Set(source.Credential{Username: user, Password: source.NewSecret("password of " + text), Version: name})
			require.NoError(t, p.Refresher().Refresh(t.Context()))
			require.NoError(t, db.Refresher().Refresh(t.Context()))
			p.Reset()
			var got string
			require.NoError(t, p.QueryRow(t.Context(), "select session_user").Scan(&got))
			require.Equal(t, user, got)
			require.NoError(t, db.PingContext(t.Context()))
		})
	}
}
