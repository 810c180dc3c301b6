// Package keypair reads TLS key pairs out of credentials: the private key is the
// password, in PKCS #8 or as crypto/tls takes it, as PEM; the chain is the field
// "tls.crt", its own certificate first. Package rotate/certificate writes such
// credentials, package refresh/tlsconfig serves them; use this one to read them without
// either:
//
//	pair, err := keypair.Pair(credential)
//	config := &tls.Config{Certificates: []tls.Certificate{*pair}}
package keypair

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/rekey-go/rekey/source"
)

// ChainField is the name of the field that holds the chain.
const ChainField = "tls.crt"

// Pair reads the certificate of a credential, for [tls.Config]. Errors hold nothing
// of the key.
func Pair(c source.Credential) (*tls.Certificate, error) {
	chain, _ := c.Field(ChainField)
	if chain.IsEmpty() {
		return nil, errors.New("keypair: the field tls.crt is missing; it should hold the chain as PEM")
	}
	if c.Password.IsEmpty() {
		return nil, errors.New("keypair: the password is missing; it should hold the private key as PEM")
	}
	pair, err := tls.X509KeyPair([]byte(chain.Reveal()), []byte(c.Password.Reveal()))
	if err != nil {
		return nil, errors.New("keypair: the chain in tls.crt and the private key are no PEM, or do not belong together")
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, fmt.Errorf("keypair: %w", err)
		}
	}
	return &pair, nil
}

// Expires returns when the certificate of a credential ends.
func Expires(c source.Credential) (time.Time, error) {
	chain, _ := c.Field(ChainField)
	block, rest := pem.Decode([]byte(chain.Reveal()))
	for block != nil && block.Type != "CERTIFICATE" { // as crypto/tls does
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return time.Time{}, errors.New("keypair: the field tls.crt is missing, or holds no certificate as PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, fmt.Errorf("keypair: %w", err)
	}
	return leaf.NotAfter, nil
}
