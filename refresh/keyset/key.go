package keyset

import (
	"crypto"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/jwk"
)

// least is how many bytes a secret for HMAC with SHA-256 should have (RFC 7518, 3.2).
const least = 32

// A key verifies what one ID has signed.
type key struct {
	id        string
	algorithm jose.SignatureAlgorithm // of this key and no other
	verify    any                     // the public key, or the bytes of a secret
	public    jwk.Key                 // zero for a secret
}

// public makes the key of a public half.
func public(id string, half crypto.PublicKey) (key, error) {
	published, err := jwk.New(id, half)
	return key{id, jose.SignatureAlgorithm(published.Algorithm), half, published}, err
}

// private reads a key and what signs with it. Errors hold none of the secret.
func private(id string, secret source.Secret, symmetric bool) (key, any, error) {
	switch text := []byte(secret.Reveal()); {
	case id == "":
		return key{}, nil, errors.New("keyset: the key has no ID; the user name should be it")
	case symmetric && len(text) < least:
		return key{}, nil, fmt.Errorf("keyset: key %q has %d bytes; it should have at least %d", id, len(text), least)
	case symmetric:
		return key{id: id, algorithm: jose.HS256, verify: text}, text, nil
	}
	signer, _, err := jwk.Private(secret)
	if err != nil {
		return key{}, nil, fmt.Errorf("keyset: key %q: %w", id, err)
	}
	k, err := public(id, signer.Public())
	return k, signer, err
}
