package certificate

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/keypair"
)

// check holds a credential against what is asked for.
func (t *target) check(c source.Credential) error {
	pair, err := keypair.Pair(c)
	if err != nil {
		return fmt.Errorf("%w: %w", rotate.ErrUnfit, err)
	}
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("certificate: the chain: %w: %w", rotate.ErrUnfit, err)
		}
		chain = append(chain, cert)
	}
	return t.trusted(chain)
}

// trusted checks a chain, its own certificate first.
func (t *target) trusted(chain []*x509.Certificate) error {
	others := x509.NewCertPool()
	for _, cert := range chain[1:] {
		others.AddCert(cert)
	}
	now := time.Now()
	for _, at := range []time.Time{now, now.Add(t.AtLeast)} {
		_, err := chain[0].Verify(x509.VerifyOptions{Roots: t.Roots, Intermediates: others, CurrentTime: at})
		if err != nil {
			return fmt.Errorf("certificate: at %s: %w: %w", at.Format(time.RFC3339), rotate.ErrUnfit, err)
		}
	}
	for _, name := range t.Names {
		if err := chain[0].VerifyHostname(name); err != nil {
			return fmt.Errorf("certificate: %w: %w", rotate.ErrUnfit, err)
		}
	}
	return nil
}
