package rdsiam_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool/mysql"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/rdsiam"
)

// A wire notes what is written to it.
type wire struct {
	net.Conn
	sent *bytes.Buffer
}

func (w wire) Write(p []byte) (int, error) {
	w.sent.Write(p)
	return w.Conn.Write(p)
}

// tapped has what config dials noted in sent.
func tapped(config *driver.Config) (c *driver.Config, sent *bytes.Buffer) {
	sent = new(bytes.Buffer)
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return wire{conn, sent}, err
	}
	return config, sent
}

// tryMySQL logs in once, with a dialer for tokens.
func tryMySQL(ctx context.Context, t *testing.T, config *driver.Config, user, password string) error {
	t.Helper()
	d, err := mysql.NewForTokens(config)
	require.NoError(t, err)
	return d.Verify(ctx, snapshot(user, password), nil)
}

func snapshot(user, password string) refresh.Snapshot {
	return refresh.Snapshot{Credential: source.Credential{Username: user, Password: source.NewSecret(password)}}
}

// A server that asks for the password as it is gets it over TLS that it has
// proven itself for, and otherwise nothing: neither on the wire nor at the gate.
func TestF38TokensGoToMySQLOnlyOverTLS(t *testing.T) {
	t.Parallel()
	v := newVendor()
	s := onMariaDB(t, v)
	token := get(t, rdsiam.New(v.config(), s.endpoint, s.user, nil)).Password.Reveal()

	config, sent := tapped(s.config())
	require.NoError(t, tryMySQL(t.Context(), t, config, s.user, token))
	require.NotContains(t, sent.String(), token)
	require.Len(t, s.iam.Logins(), 1)

	// Nobody vouches for the server.
	config, sent = tapped(s.config())
	config.TLS = &tls.Config{}
	var unknown *tls.CertificateVerificationError
	require.ErrorAs(t, tryMySQL(t.Context(), t, config, s.user, token), &unknown)
	require.NotEmpty(t, sent.String())
	require.NotContains(t, sent.String(), s.user)

	// Without TLS there is no dialer for tokens, and any other does not answer.
	config, sent = tapped(s.config())
	config.TLS = nil
	_, err := mysql.NewForTokens(config)
	var cleartext *mysql.CleartextError
	require.ErrorAs(t, err, &cleartext)
	require.Empty(t, sent.String())
	d, err := mysql.New(config)
	require.NoError(t, err)
	require.ErrorIs(t, d.Verify(t.Context(), snapshot(s.user, token), nil), driver.ErrCleartextPassword)
	require.Contains(t, sent.String(), s.user, "it was asked")
	require.NotContains(t, sent.String(), token)

	require.Len(t, s.iam.Logins(), 1, "the gate saw nobody but the first")

	// The tap works: left to itself, the driver sends it.
	config, sent = tapped(s.config())
	config.TLS, config.AllowCleartextPasswords, config.User, config.Passwd = nil, true, s.user, token
	connector, err := driver.NewConnector(config)
	require.NoError(t, err)
	conn, err := connector.Connect(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Contains(t, sent.String(), token)
}

// Somebody on the way tells the client that the server has no TLS.
func TestF38TokensGoNowhereWhenTLSIsTakenAway(t *testing.T) {
	t.Parallel()
	v := newVendor()
	s := onMariaDB(t, v)
	token := get(t, rdsiam.New(v.config(), s.endpoint, s.user, nil)).Password.Reveal()
	config, sent := tapped(s.config())
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &stripper{Conn: conn}, err
	}
	require.ErrorIs(t, tryMySQL(t.Context(), t, config, s.user, token), driver.ErrNoTLS)
	require.Empty(t, sent.String(), "the greeting is not answered")
	require.Empty(t, s.iam.Logins())
}

// A stripper takes TLS out of what a server says in its greeting that it can do.
type stripper struct {
	net.Conn
	greeted bool
}

func (s *stripper) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if !s.greeted && err == nil {
		s.greeted = true
		const header, protocol, threadAndSeed, filler, clientSSL = 4, 1, 12, 1, 0x0800
		version := bytes.IndexByte(p[header+protocol:n], 0) + 1
		p[header+protocol+version+threadAndSeed+filler+1] &^= clientSSL >> 8
	}
	return n, err
}
