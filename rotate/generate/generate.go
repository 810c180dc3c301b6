// Package generate makes new secrets from the system's random numbers, package
// crypto/rand:
//
//   - [Password] for databases and other logins,
//   - [APIKey] with a prefix and a checksum, so that scanners find leaked ones,
//   - [JWTSecret] for HMAC signatures,
//   - [For] by the name of a kind, with the defaults of each.
//
// They go into [github.com/rekey-go/rekey/rotate.Config].Generate:
//
//	Generate: func() (source.Secret, error) { return generate.Password(nil) },
//
// Every character is drawn by rejection sampling: all are equally likely. What
// would have less than [LeastBits] of entropy is refused, unless asked for.
// When random bytes cannot be read there is an error and no secret.
//
// All functions are safe for concurrent use.
package generate

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/rekey-go/rekey/source"
)

// LeastBits is the entropy that a secret must have: 112 bits, which NIST
// SP 800-131A asks of anything that shall be safe from guessing.
const LeastBits = 112

// A Kind names what a secret is for, as configurations write it.
type Kind string

// The kinds that [For] knows.
const (
	KindDefault   Kind = ""           // 256 bits as base64url, for anything else
	KindPassword  Kind = "password"   // as of Password(nil)
	KindAPIKey    Kind = "api_key"    // as of APIKey("key")
	KindJWTSecret Kind = "jwt_secret" // as of JWTSecret(0)
)

// For makes a secret of a kind, with the defaults of the kind. A kind that is
// not known is an [*OptionError].
func For(kind Kind) (source.Secret, error) {
	switch kind {
	case KindPassword:
		return Password(nil)
	case KindAPIKey:
		return APIKey("key")
	case KindJWTSecret, KindDefault:
		return JWTSecret(0)
	}
	return source.Secret{}, &OptionError{"kind", fmt.Sprintf("is %q; it should be %q, %q, %q or empty",
		string(kind), KindPassword, KindAPIKey, KindJWTSecret)}
}

// JWTSecret makes a key for JSON Web Tokens signed by HMAC: random bytes as
// base64url without padding. Bits are those of the hash: 256 for HS256, 384 for
// HS384, 512 for HS512, as RFC 7518 asks; zero is 256. Others are fine if they
// are a multiple of 8 from 256 to 4096, else an [*OptionError].
//
// The text may be the key as it is, or what it decodes to. All that sign and
// check must agree on one of the two.
func JWTSecret(bits int) (source.Secret, error) { return jwtSecret(rand.Reader, bits) }

func jwtSecret(r io.Reader, bits int) (source.Secret, error) {
	if bits == 0 {
		bits = 256
	}
	if bits < 256 || bits > 4096 || bits%8 != 0 {
		return source.Secret{}, &OptionError{"bits", fmt.Sprintf("is %d; it should be a multiple of 8 from 256 to 4096", bits)}
	}
	key := make([]byte, bits/8)
	if err := fill(r, key); err != nil {
		return source.Secret{}, err
	}
	return source.NewSecret(base64.RawURLEncoding.EncodeToString(key)), nil
}
