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
	"github.com/rekey-go/rekey/pool/dialertest"
	"github.com/rekey-go/rekey/source"
)

func TestF36OddPasswordsLogInUnchanged(t *testing.T) {
	b := newBench(t)
	p := b.open(2, nil)
	db := b.openDB(pool.Postgres(b.connConfig()))
	for name, password := range dialertest.Odd() {
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
	for name, text := range dialertest.Odd() {
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
