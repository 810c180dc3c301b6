package mysql_test

import (
	"crypto/tls"
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

func TestPasswordsAreNotSentAsTheyAreWithoutTLS(t *testing.T) {
	config := func(change func(*driver.Config)) *driver.Config {
		c := driver.NewConfig()
		c.AllowCleartextPasswords, c.Net, c.Addr = true, "tcp", "127.0.0.1:1"
		change(c)
		return c
	}
	for name, c := range map[string]struct {
		config *driver.Config
		ok     bool
	}{
		"no TLS":             {config(func(*driver.Config) {}), false},
		"TLS is off":         {config(func(c *driver.Config) { c.TLSConfig = "false" }), false},
		"TLS if it is there": {config(func(c *driver.Config) { c.TLSConfig = "preferred" }), false},
		"without as well":    {config(func(c *driver.Config) { c.TLS, c.AllowFallbackToPlaintext = &tls.Config{}, true }), false},
		"TLS":                {config(func(c *driver.Config) { c.TLS = &tls.Config{} }), true},
		"TLS by name":        {config(func(c *driver.Config) { c.TLSConfig = "true" }), true},
		"socket":             {config(func(c *driver.Config) { c.Net, c.Addr = "unix", "/nowhere" }), true},
	} {
		_, err := mysql.New(c.config)
		require.Equal(t, c.ok, err == nil, "%s: %v", name, err)
	}
	_, err := mysql.New(nil)
	require.Error(t, err)
	_, err = mysql.New(&driver.Config{Net: "carrier pigeon"})
	require.ErrorContains(t, err, "carrier pigeon")
}
