package mysql_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/mysqlserver/mysqltest"
	"github.com/rekey-go/rekey/pool/mysql"
)

func TestTLSIsKept(t *testing.T) {
	onEach(t, func(t *testing.T, db *mysqltest.DB) {
		user := db.Role("app")
		db.CreateUser(user, "secret")
		db.Alter(user, "require ssl")
		cipher := func(config *driver.Config) (name, value string) {
			p := open(t, dialer(t, config), user, "secret")
			p.SetMaxIdleConns(-1) // each statement logs in anew
			for range 3 {
				require.NoError(t, p.QueryRowContext(t.Context(), "show status like 'Ssl_cipher'").Scan(&name, &value))
				require.NotEmpty(t, value)
			}
			return name, value
		}
		cipher(db.Config())

		// By name, which may come to mean another one later.
		named := db.Config()
		require.NoError(t, driver.RegisterTLSConfig(db.Name, &tls.Config{}))
		defer driver.DeregisterTLSConfig(db.Name)
		named.TLS, named.TLSConfig = nil, db.Name
		d := dialer(t, named)
		require.Error(t, d.Verify(t.Context(), snapshot(user, "secret"), nil), "nobody vouches for the server")
		require.NoError(t, driver.RegisterTLSConfig(db.Name, db.Config().TLS))
		require.NoError(t, d.Verify(t.Context(), snapshot(user, "secret"), nil))

		plain := db.Config()
		plain.TLS = nil
		err := dialer(t, plain).Verify(t.Context(), snapshot(user, "secret"), nil)
		require.Equal(t, 1045, errno(err))
	})
}

func TestF38PasswordsAreSentAsTheyAreOnlyToTheServer(t *testing.T) {
	named := func(name string, c *tls.Config) string {
		require.NoError(t, driver.RegisterTLSConfig(name, c))
		t.Cleanup(func() { driver.DeregisterTLSConfig(name) })
		return name
	}
	unverified := &tls.Config{InsecureSkipVerify: true}
	byItself := &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { return nil }}
	for name, c := range map[string]struct {
		change func(*driver.Config)
		ok     bool
	}{
		"no TLS":              {func(*driver.Config) {}, false},
		"TLS is off":          {func(c *driver.Config) { c.TLSConfig = "false" }, false},
		"TLS if it is there":  {func(c *driver.Config) { c.TLSConfig = "preferred" }, false},
		"without as well":     {func(c *driver.Config) { c.TLS, c.AllowFallbackToPlaintext = &tls.Config{}, true }, false},
		"unverified":          {func(c *driver.Config) { c.TLSConfig = "skip-verify" }, false},
		"unverified as TLS":   {func(c *driver.Config) { c.TLS = unverified }, false},
		"unverified by name":  {func(c *driver.Config) { c.TLSConfig = named("cleartext-unverified", unverified) }, false},
		"another network":     {func(c *driver.Config) { c.Net = "tunnel" }, false},
		"TLS":                 {func(c *driver.Config) { c.TLS = &tls.Config{} }, true},
		"TLS of the system":   {func(c *driver.Config) { c.TLSConfig = "true" }, true},
		"TLS by name":         {func(c *driver.Config) { c.TLSConfig = named("cleartext & custom", &tls.Config{}) }, true},
		"verified by itself":  {func(c *driver.Config) { c.TLS = byItself }, true},
		"socket":              {func(c *driver.Config) { c.Net, c.Addr = "unix", "/nowhere" }, true},
		"TLS through another": {func(c *driver.Config) { c.Net, c.TLSConfig = "tunnel", "true" }, true},
	} {
		config := driver.NewConfig()
		config.Net, config.Addr = "tcp", "127.0.0.1:1"
		c.change(config)
		d, err := mysql.NewForTokens(config)
		require.Equal(t, c.ok, err == nil, "%s: %v", name, err)
		require.Equal(t, c.ok, d != nil, name)
		require.False(t, config.AllowCleartextPasswords, "the user's own is left alone")
		config.AllowCleartextPasswords = true
		_, again := mysql.New(config)
		require.Equal(t, err, again, name)
		if !c.ok {
			var e *mysql.CleartextError
			require.ErrorAs(t, err, &e, name)
			require.Equal(t, config.TLSConfig, e.TLS, name)
			require.NotEmpty(t, e.Problem, name)
		}
	}
	_, err := mysql.New(nil)
	require.Error(t, err)
	_, err = mysql.NewForTokens(nil)
	require.Error(t, err)
	_, err = mysql.New(&driver.Config{Net: "carrier pigeon"})
	require.ErrorContains(t, err, "carrier pigeon")
}

// What was good when the dialer was made is looked at again at each login: a
// hook may change it, and a name may come to mean another configuration.
func TestCleartextIsRefusedAtTheLoginToo(t *testing.T) {
	const name = "cleartext-later"
	require.NoError(t, driver.RegisterTLSConfig(name, &tls.Config{}))
	defer driver.DeregisterTLSConfig(name)
	config := driver.NewConfig()
	config.Net, config.Addr, config.TLSConfig = "tcp", "127.0.0.1:1", name
	dialed := 0
	config.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		dialed++
		return nil, errors.New("nobody there")
	}
	d, err := mysql.NewForTokens(config)
	require.NoError(t, err)
	refused := func() {
		t.Helper()
		var e *mysql.CleartextError
		require.ErrorAs(t, d.Verify(t.Context(), snapshot("app", "cAnArY"), nil), &e)
		require.NotContains(t, fmt.Sprintf("%v %#v", e, e), "cAnArY")
	}
	for _, change := range []func(*driver.Config){
		func(c *driver.Config) { c.TLSConfig = "" },
		func(c *driver.Config) { c.TLSConfig = "preferred" },
		func(c *driver.Config) { c.TLS = &tls.Config{InsecureSkipVerify: true} },
		func(c *driver.Config) { c.AllowFallbackToPlaintext = true },
	} {
		d.BeforeConnect = func(_ context.Context, c *driver.Config) error { change(c); return nil }
		refused()
	}
	d.BeforeConnect = nil
	require.NoError(t, driver.RegisterTLSConfig(name, &tls.Config{InsecureSkipVerify: true}))
	refused()
	require.Zero(t, dialed, "nobody was connected to")
	require.NoError(t, driver.RegisterTLSConfig(name, &tls.Config{}))
	require.ErrorContains(t, d.Verify(t.Context(), snapshot("app", "cAnArY"), nil), "nobody there")
}
