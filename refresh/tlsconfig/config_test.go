package tlsconfig_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh/tlsconfig"
)

var nextYear = time.Now().AddDate(1, 0, 0)

func TestBothSidesFollow(t *testing.T) {
	one, two := newAuthority("one", nextYear), newAuthority("two", nextYear)
	server := newSide(t, one.pair(time.Hour, one))
	client := newSide(t, one.pair(time.Hour, one))
	addr := named(serve(t, tlsconfig.Server(nil, server.cert, server.roots)))
	config := tlsconfig.Client(nil, client.cert, client.roots)

	state, err := handshake(t, addr, config)
	require.NoError(t, err)
	assert.Equal(t, server.cert.Get().Leaf.Raw, state.PeerCertificates[0].Raw)
	for range 3 {
		server.set(t, one.pair(time.Hour, one))
		client.set(t, one.pair(time.Hour, one))
		state, err = handshake(t, addr, config)
		require.NoError(t, err)
		assert.Equal(t, server.cert.Get().Leaf.Raw, state.PeerCertificates[0].Raw)
	}

	server.set(t, two.pair(time.Hour, one))
	_, err = handshake(t, addr, config)
	var failed *tls.CertificateVerificationError
	require.ErrorAs(t, err, &failed, "the client does not trust the other authority")
	client.set(t, one.pair(time.Hour, two))
	_, err = handshake(t, addr, config)
	require.NoError(t, err, "now it does, and no more the first")
	server.set(t, one.pair(time.Hour, one))
	_, err = handshake(t, addr, config)
	require.ErrorAs(t, err, &failed)
	server.set(t, two.pair(time.Hour, two))
	_, err = handshake(t, addr, config)
	require.Error(t, err, "the server does not trust the client")
	client.set(t, two.pair(time.Hour, two))
	_, err = handshake(t, addr, config)
	require.NoError(t, err)
}

func TestHTTP2(t *testing.T) {
	ca := newAuthority("ca", nextYear)
	s := newSide(t, ca.pair(time.Hour, ca))
	addr := named(serve(t, tlsconfig.Server(nil, s.cert, s.roots)))
	transport := &http.Transport{TLSClientConfig: tlsconfig.Client(nil, s.cert, s.roots), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://" + addr)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, 2, resp.ProtoMajor)
}

func TestClientChecksTheName(t *testing.T) {
	ca := newAuthority("ca", nextYear)
	s := newSide(t, ca.pair(time.Hour, ca))
	addr := serve(t, tlsconfig.Server(nil, s.cert, nil))
	for _, test := range []struct {
		addr, name string
		ok         bool
	}{
		{named(addr), "", true},
		{named(addr), "localhost", true},
		{named(addr), "other.example", false},
		{addr, "127.0.0.1", true},
		{addr, "127.0.0.2", false},
		{addr, "localhost", true},
		{addr, "", false}, // any would do
	} {
		_, err := handshake(t, test.addr, tlsconfig.Client(&tls.Config{ServerName: test.name}, nil, s.roots))
		assert.Equal(t, test.ok, err == nil, "%+v: %v", test, err)
	}
}

func TestBaseIsKept(t *testing.T) {
	ca := newAuthority("ca", nextYear)
	s := newSide(t, ca.pair(time.Hour, ca))
	refuse := errors.New("the user refuses")
	var chains [][]*x509.Certificate
	base := &tls.Config{MinVersion: tls.VersionTLS13, VerifyConnection: func(cs tls.ConnectionState) error {
		chains = cs.VerifiedChains
		return refuse
	}}
	addr := named(serve(t, tlsconfig.Server(&tls.Config{ClientAuth: tls.VerifyClientCertIfGiven}, s.cert, s.roots)))
	_, err := handshake(t, addr, tlsconfig.Client(base, nil, s.roots))
	require.ErrorIs(t, err, refuse)
	assert.Len(t, chains, 1)
	assert.Nil(t, base.GetClientCertificate)
	assert.False(t, base.InsecureSkipVerify)

	late := &tls.Config{Time: func() time.Time { return time.Now().Add(2 * time.Hour) }}
	_, err = handshake(t, addr, tlsconfig.Client(late, nil, s.roots))
	var invalid x509.CertificateInvalidError
	require.ErrorAs(t, err, &invalid)
	assert.Equal(t, x509.Expired, invalid.Reason)

	// Without roots of our own, those of base decide.
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	_, err = handshake(t, addr, tlsconfig.Client(&tls.Config{RootCAs: pool}, s.cert, nil))
	require.NoError(t, err)
	_, err = handshake(t, addr, tlsconfig.Client(&tls.Config{RootCAs: x509.NewCertPool()}, s.cert, nil))
	require.Error(t, err)
}

// A session that began under other roots is not resumed.
func TestResumption(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, shared := range []bool{false, true} { // ticket keys of a fleet
			one, two := newAuthority("one", nextYear), newAuthority("two", nextYear)
			server := newSide(t, one.pair(time.Hour, one))
			base := &tls.Config{MaxVersion: version}
			if shared {
				base.SetSessionTicketKeys([][32]byte{{1}})
			}
			addr := named(serve(t, tlsconfig.Server(base, server.cert, server.roots)))

			// A client of another kind, which resumes.
			pool := x509.NewCertPool()
			pool.AddCert(one.cert)
			pair, err := tls.X509KeyPair(keyPair(one))
			require.NoError(t, err)
			config := &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, ClientSessionCache: tls.NewLRUClientSessionCache(8)}

			for n, resumed := range []bool{false, true, true} {
				state, err := handshake(t, addr, config)
				require.NoError(t, err)
				assert.Equal(t, resumed, state.DidResume, "%x %t %d", version, shared, n)
			}
			server.set(t, one.pair(time.Hour, one))
			state, err := handshake(t, addr, config)
			require.NoError(t, err)
			if shared {
				assert.True(t, state.DidResume, "with another certificate, but the same roots")
			}
			server.set(t, one.pair(time.Hour, one, two))
			state, err = handshake(t, addr, config)
			require.NoError(t, err)
			assert.False(t, state.DidResume)
			state, err = handshake(t, addr, config)
			require.NoError(t, err)
			assert.True(t, state.DidResume)
			server.set(t, one.pair(time.Hour, two))
			_, err = handshake(t, addr, config)
			require.Error(t, err, "the client is not trusted any more")
		}
	}
}

func keyPair(a *authority) (cert, key []byte) {
	c, k := a.issue(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	return []byte(c), []byte(k)
}
