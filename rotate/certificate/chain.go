package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// Field is the name of the field that holds the chain.
const Field = "tls.crt"

// Pair reads the certificate of a credential, for [tls.Config]. Errors hold nothing
// of the key.
func Pair(c source.Credential) (*tls.Certificate, error) {
	chain, _ := c.Field(Field)
	if chain.IsEmpty() {
		return nil, errors.New("certificate: the field tls.crt is missing; it should hold the chain as PEM")
	}
	if c.Password.IsEmpty() {
		return nil, errors.New("certificate: the password is missing; it should hold the private key as PEM")
	}
	pair, err := tls.X509KeyPair([]byte(chain.Reveal()), []byte(c.Password.Reveal()))
	if err != nil {
		return nil, errors.New("certificate: the chain in tls.crt and the private key are no PEM, or do not belong together")
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
	}
	return &pair, nil
}

// End returns when the certificate of a credential ends.
func End(c source.Credential) (time.Time, error) {
	chain, _ := c.Field(Field)
	block, _ := pem.Decode([]byte(chain.Reveal()))
	if block == nil || block.Type != "CERTIFICATE" {
		return time.Time{}, errors.New("certificate: the field tls.crt is missing, or no PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, fmt.Errorf("certificate: %w", err)
	}
	return leaf.NotAfter, nil
}

// check holds a credential against what is asked for.
func (t *target) check(c source.Credential) error {
	pair, err := Pair(c)
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
