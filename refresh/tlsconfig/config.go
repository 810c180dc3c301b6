package tlsconfig

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"sync/atomic"
)

// Server returns a copy of base for servers whose certificate is cert and who trust the
// clients of roots. A nil base is an empty one. A nil cert leaves the certificates of
// base as they are, nil roots leave clients as they are.
//
// With roots, clients must have a certificate unless base.ClientAuth says otherwise.
// Then GetConfigForClient, WrapSession and UnwrapSession of base are not called, and
// an empty NextProtos is that of [net/http.Server]: h2 and http/1.1.
func Server(base *tls.Config, cert *Certificate, roots *Roots) *tls.Config {
	c := clone(base)
	if cert != nil {
		c.Certificates = nil
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert.Get(), nil }
	}
	if roots == nil {
		return c
	}
	if c.ClientAuth == tls.NoClientCert {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if len(c.NextProtos) == 0 {
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	// A configuration must not change once it is in use, so each set of roots has one.
	c.ClientCAs, c.GetConfigForClient = roots.Get(), nil
	plain := c.Clone()
	var current atomic.Pointer[served]
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		set := roots.set.Get()
		s := current.Load()
		if s == nil || s.roots != set {
			s = serve(plain, set)
			current.Store(s) // another one made meanwhile is as good
		}
		return s.config, nil
	}
	return c
}

// served is the configuration for one set of roots.
type served struct {
	roots  *rootSet
	config *tls.Config
}

// serve returns the configuration for a set of roots. A session is marked with the set
// under which its client was verified; under another the client is verified anew, since
// a resumption would not ask for the certificate.
func serve(plain *tls.Config, set *rootSet) *served {
	c := plain.Clone()
	c.ClientCAs = set.pool
	c.WrapSession = func(cs tls.ConnectionState, s *tls.SessionState) ([]byte, error) {
		s.Extra = append(s.Extra, set.mark[:])
		return c.EncryptTicket(cs, s)
	}
	c.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		s, err := c.DecryptTicket(identity, cs)
		if err != nil || s == nil {
			return nil, err
		}
		if !slices.ContainsFunc(s.Extra, func(mark []byte) bool { return string(mark) == string(set.mark[:]) }) {
			return nil, nil // a full handshake
		}
		return s, nil
	}
	return &served{set, c}
}

// Client returns a copy of base for clients whose certificate is cert and who trust the
// servers of roots. A nil base is an empty one. A nil cert leaves the certificates of
// base as they are, nil roots leave those that base trusts.
//
// Sessions are not resumed, because they would go on with an old certificate or with old
// roots. With roots, crypto/tls is told to skip its own verification, and the same is
// done by VerifyConnection with the roots of the moment, before that of base is called.
// The server's name is the one that was dialled; where an address is dialled that is no
// name, base.ServerName must say it.
func Client(base *tls.Config, cert *Certificate, roots *Roots) *tls.Config {
	c := clone(base)
	if cert != nil || roots != nil {
		c.ClientSessionCache = nil
	}
	if cert != nil {
		c.Certificates = nil
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert.Get(), nil }
	}
	if roots == nil {
		return c
	}
	name, next, clock := c.ServerName, c.VerifyConnection, c.Time
	c.RootCAs, c.InsecureSkipVerify = nil, true
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if cs.ServerName == "" {
			cs.ServerName = name
		}
		o := x509.VerifyOptions{DNSName: cs.ServerName, Roots: roots.Get(), Intermediates: x509.NewCertPool()}
		if clock != nil {
			o.CurrentTime = clock()
		}
		var err error
		if cs.VerifiedChains, err = verify(cs.PeerCertificates, o); err != nil || next == nil {
			return err
		}
		return next(cs)
	}
	return c
}

// verify is what crypto/tls does for clients.
func verify(chain []*x509.Certificate, o x509.VerifyOptions) ([][]*x509.Certificate, error) {
	switch {
	case o.DNSName == "": // which would mean any
		return nil, errors.New("tlsconfig: the server was dialled by its address; ServerName of the configuration should say its name, or the address")
	case len(chain) == 0:
		return nil, errors.New("tlsconfig: the server has no certificate")
	}
	for _, cert := range chain[1:] {
		o.Intermediates.AddCert(cert)
	}
	chains, err := chain[0].Verify(o)
	if err != nil {
		return nil, &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return chains, nil
}

func clone(base *tls.Config) *tls.Config {
	if base == nil {
		return new(tls.Config)
	}
	return base.Clone()
}
