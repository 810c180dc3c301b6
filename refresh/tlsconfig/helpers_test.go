package tlsconfig_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/tlsconfig"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/keypair"
	"github.com/rekey-go/rekey/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// must is for what cannot go wrong here.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// An authority vouches for servers and clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(name string, end time.Time) *authority {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: end,
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	return &authority{must(x509.ParseCertificate(der)), key, encode("CERTIFICATE", der)}
}

// issue returns a chain for localhost, as server and as client, and its key.
func (a *authority) issue(begin, end time.Time) (chain, key string) {
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: begin, NotAfter: end,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der := must(x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key))
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(private)))
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// pair returns a credential with a new certificate that is valid for d.
func (a *authority) pair(d time.Duration, roots ...*authority) source.Credential {
	chain, key := a.issue(time.Now().Add(-time.Hour), time.Now().Add(d))
	return cred(chain, key, roots...)
}

func cred(chain, key string, roots ...*authority) source.Credential {
	bundle := ""
	for _, root := range roots {
		bundle += root.pem
	}
	return source.Credential{Username: "localhost", Password: source.NewSecret(key)}.WithFields(map[string]source.Secret{
		keypair.ChainField: source.NewSecret(chain), tlsconfig.RootsField: source.NewSecret(bundle),
	})
}

// A side is a server or a client, with its store.
type side struct {
	store *sourcetest.Script
	r     *refresh.Refresher
	cert  *tlsconfig.Certificate
	roots *tlsconfig.Roots
}

func newSide(t *testing.T, c source.Credential) *side {
	t.Helper()
	s := &side{store: sourcetest.NewScript()}
	s.store.Set(c)
	var err error
	s.r, err = refresh.New(t.Context(), tlsconfig.Source(s.store), &refresh.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(s.r.Close)
	s.cert, err = tlsconfig.NewCertificate(t.Context(), s.r, nil)
	require.NoError(t, err)
	t.Cleanup(s.cert.Close)
	s.roots, err = tlsconfig.NewRoots(t.Context(), s.r)
	require.NoError(t, err)
	t.Cleanup(s.roots.Close)
	return s
}

func (s *side) set(t *testing.T, c source.Credential) {
	t.Helper()
	s.store.Set(c)
	require.NoError(t, s.r.Refresh(t.Context()))
}

// serve runs an HTTPS server on config and returns its address.
func serve(t *testing.T, config *tls.Config) string {
	t.Helper()
	server := &http.Server{
		TLSConfig: config, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Proto)) }),
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error)
	go func() { done <- server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() {
		_ = server.Close()
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return listener.Addr().String()
}

// handshake connects and asks for a page, after which the tickets have come.
func handshake(t *testing.T, addr string, config *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	var state tls.ConnectionState
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, "https://"+addr, nil)
	require.NoError(t, err)
	resp, err := transport.RoundTrip(req)
	if err == nil {
		state = *resp.TLS
		require.NoError(t, resp.Body.Close())
	}
	return state, err
}

// named is addr by the name that the certificates are for.
func named(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return "localhost:" + port
}
