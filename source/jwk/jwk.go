package jwk

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
)

// A Key is a public key as it is published (RFC 7517).
type Key struct {
	KeyType   string    `json:"kty"`           // "OKP", "EC" or "RSA"
	ID        string    `json:"kid"`           // by which tokens name it
	Use       string    `json:"use"`           // "sig"
	Algorithm Algorithm `json:"alg"`           // the one that it signs with
	Curve     string    `json:"crv,omitempty"` // "Ed25519" or "P-256"
	X         string    `json:"x,omitempty"`   // of a point, in base64url, as are the others
	Y         string    `json:"y,omitempty"`   // of a point on P-256
	N         string    `json:"n,omitempty"`   // RSA: the modulus
	E         string    `json:"e,omitempty"`   // RSA: the exponent
}

// A Set is what is published: a JWK Set.
type Set struct {
	Keys []Key `json:"keys"`
}

var (
	encode = base64.RawURLEncoding.EncodeToString
	decode = base64.RawURLEncoding.Strict().DecodeString
)

// New writes a public key down: Ed25519, ECDSA with P-256 or RSA of at least
// 2048 bits.
func New(id string, public crypto.PublicKey) (Key, error) {
	a, ok := algorithm(public)
	if !ok {
		return Key{}, ErrUnsupportedKey
	}
	k := Key{ID: id, Use: "sig", Algorithm: a}
	switch key := public.(type) {
	case ed25519.PublicKey:
		k.KeyType, k.Curve, k.X = "OKP", "Ed25519", encode(key)
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 4, X, Y
		if err != nil {
			return Key{}, ErrUnsupportedKey
		}
		k.KeyType, k.Curve, k.X, k.Y = "EC", "P-256", encode(point[1:33]), encode(point[33:])
	case *rsa.PublicKey:
		k.KeyType, k.N, k.E = "RSA", encode(key.N.Bytes()), encode(big.NewInt(int64(key.E)).Bytes())
	}
	return k, nil
}

var errJWK = errors.New("jwk: not a public key as New writes it")

// Public returns the public key.
func (k Key) Public() (crypto.PublicKey, error) {
	public, ok := k.public()
	if !ok {
		return nil, errJWK
	}
	again, err := New(k.ID, public)
	if k.Use == "" { // may be left out
		again.Use = ""
	}
	if k.Algorithm == "" {
		again.Algorithm = ""
	}
	if err != nil || again != k {
		return nil, errJWK
	}
	return public, nil
}

func (k Key) public() (crypto.PublicKey, bool) {
	var parts [4][]byte
	for i, text := range []string{k.X, k.Y, k.N, k.E} {
		var err error
		if parts[i], err = decode(text); err != nil || len(text) > 2048 {
			return nil, false
		}
	}
	x, y, n, e := parts[0], parts[1], parts[2], parts[3]
	switch {
	case k.KeyType == "OKP" && len(x) == ed25519.PublicKeySize:
		return ed25519.PublicKey(x), true
	case k.KeyType == "EC" && len(x) == 32 && len(y) == 32:
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		return key, err == nil
	case k.KeyType == "RSA" && len(e) > 0 && len(e) < 5:
		exponent := big.NewInt(0).SetBytes(e).Int64()
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}, exponent > 1 && exponent%2 == 1 && exponent < 1<<31
	}
	return nil, false
}

// ParseSet reads a JWK Set and returns its keys by their IDs, each of a type that
// [crypto/ed25519], [crypto/ecdsa] or [crypto/rsa] verifies with. Keys without an ID, those
// for encryption and kinds that this package does not know are left out, as RFC 7517 says.
func ParseSet(text []byte) (map[string]crypto.PublicKey, error) {
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(text, &set); err != nil || set.Keys == nil {
		return nil, errors.New(`jwk: not a JWK Set: it should be a JSON object with the member "keys"`)
	}
	keys := make(map[string]crypto.PublicKey)
	for _, text := range set.Keys {
		var k Key
		if json.Unmarshal(text, &k) != nil {
			continue
		}
		if public, err := k.Public(); err == nil && k.ID != "" && k.Use != "enc" {
			keys[k.ID] = public
		}
	}
	return keys, nil
}
