// Package jwk has the keys that sign tokens (JWT): private halves as secrets, PKCS #8
// as PEM, and public halves as JSON Web Keys (RFC 7517). Package rotate/signingkey
// rotates them, package refresh/keyset signs and verifies with them. This one is for who
// makes a first key, or serves keys that somebody else rotates:
//
//	secret, err := jwk.Generate(jwk.EdDSA) // to be stored
//	private, algorithm, err := jwk.Private(secret)
//	public, err := jwk.New("key_1", private.Public()) // to be published, in a jwk.Set
package jwk

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/rekey-go/rekey/source"
)

// An Algorithm is one that tokens are signed with, as "alg" names it (RFC 7518,
// RFC 8037).
type Algorithm string

// The algorithms that this package knows.
const (
	EdDSA Algorithm = "EdDSA" // Ed25519
	ES256 Algorithm = "ES256" // ECDSA with P-256
	RS256 Algorithm = "RS256" // RSA with PKCS #1 v1.5, 3072 bits
)

// rsaBits are good beyond 2030 by NIST SP 800-57.
const rsaBits = 3072

// Generate draws a private key, in PKCS #8 as PEM.
func Generate(a Algorithm) (source.Secret, error) {
	key, err := a.draw()
	if err != nil {
		return source.Secret{}, fmt.Errorf("jwk: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return source.Secret{}, fmt.Errorf("jwk: %w", err)
	}
	return source.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))), nil
}

func (a Algorithm) draw() (crypto.Signer, error) {
	switch a {
	case EdDSA:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return nil, fmt.Errorf("the algorithm is %q; it should be %s, %s or %s", string(a), EdDSA, ES256, RS256)
}

// ErrUnsupportedKey says that a key is of no kind that this package takes.
var ErrUnsupportedKey = errors.New("jwk: the private key should be Ed25519, ECDSA with P-256 or RSA of at least 2048 bits, in PKCS #8 as PEM")

// Private reads a private key that [Generate] could have made. Errors do not hold
// any of it.
func Private(secret source.Secret) (crypto.Signer, Algorithm, error) {
	block, _ := pem.Decode([]byte(secret.Reveal()))
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, "", ErrUnsupportedKey
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, "", ErrUnsupportedKey // err might quote it
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, "", ErrUnsupportedKey
	}
	a, ok := algorithm(signer.Public())
	if !ok {
		return nil, "", ErrUnsupportedKey
	}
	return signer, a, nil
}

// Known reports whether it is one that this package knows.
func (a Algorithm) Known() bool { return a == EdDSA || a == ES256 || a == RS256 }

// algorithm returns the one that a public key is for.
func algorithm(public crypto.PublicKey) (Algorithm, bool) {
	switch key := public.(type) {
	case ed25519.PublicKey:
		return EdDSA, true
	case *ecdsa.PublicKey:
		return ES256, key.Curve == elliptic.P256()
	case *rsa.PublicKey:
		return RS256, key.N.BitLen() >= 2048
	}
	return "", false
}
