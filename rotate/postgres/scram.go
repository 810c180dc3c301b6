package postgres

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/rekey-go/rekey/source"
)

// VerifierOptions say how a verifier is computed. The zero value, or nil, means the
// defaults.
type VerifierOptions struct {
	// Iterations of PBKDF2, each of which every login pays for. From 4096 to
	// 10,000,000, beyond which pgx does not log in. Zero: 4096, as PostgreSQL.
	Iterations int

	// Salt, from 16 to 64 bytes. Nil: 16 random bytes. A salt of one's own makes
	// the same verifier again, for comparing; do not use one twice otherwise.
	Salt []byte
}

const (
	leastIterations = 4096
	mostIterations  = 10_000_000

	leastSalt = 16
	mostSalt  = 64

	scheme = "SCRAM-SHA-256"
)

// Verifier computes the SCRAM-SHA-256 verifier of a password (RFC 5802, RFC
// 7677), in the form in which PostgreSQL 10 and newer take it in place of the
// password:
//
//	ALTER ROLE "app" PASSWORD 'SCRAM-SHA-256$4096:salt$StoredKey:ServerKey'
//
// It is a secret as well: passwords can be tried against it without asking the
// server.
//
// A password that is empty or not printable ASCII is a [*PasswordError], options
// that cannot be are an [*OptionError].
func Verifier(password source.Secret, opts *VerifierOptions) (source.Secret, error) {
	var o VerifierOptions
	if opts != nil {
		o = *opts
	}
	o.Iterations = cmp.Or(o.Iterations, leastIterations)
	if err := checkIterations(o.Iterations); err != nil {
		return source.Secret{}, err
	}
	if o.Salt == nil {
		o.Salt = newSalt()
	}
	if len(o.Salt) < leastSalt || len(o.Salt) > mostSalt {
		return source.Secret{}, &OptionError{"Salt", fmt.Sprintf("has %d bytes; it should have from %d to %d", len(o.Salt), leastSalt, mostSalt)}
	}
	if err := checkPassword(password); err != nil {
		return source.Secret{}, err
	}
	return derive(password, o.Salt, o.Iterations)
}

func checkIterations(n int) error {
	if n < leastIterations || n > mostIterations {
		return &OptionError{"Iterations", fmt.Sprintf("are %d; they should be from %d to %d, or 0 for %d", n, leastIterations, mostIterations, leastIterations)}
	}
	return nil
}

func newSalt() []byte {
	salt := make([]byte, leastSalt)
	_, _ = rand.Read(salt) // never fails
	return salt
}

func derive(password source.Secret, salt []byte, iterations int) (source.Secret, error) {
	v, err := compute(password, salt, iterations)
	if err != nil {
		return source.Secret{}, err
	}
	return v.text(), nil
}

// CheckVerifier reports whether the server will take a text for a verifier. Of one
// with a mistake in it the server says nothing: it is taken for a password and
// hashed, or stored, and nobody can log in. The mistake is a [*VerifierError].
func CheckVerifier(text source.Secret) error {
	_, err := parse(text)
	return err
}

// Matches reports whether a verifier, such as the one in pg_authid, was computed
// from a password. A text that is no verifier is a [*VerifierError], a password
// that none can be computed of a [*PasswordError].
func Matches(text, password source.Secret) (bool, error) {
	v, err := parse(text)
	if err != nil {
		return false, err
	}
	if err := checkPassword(password); err != nil {
		return false, err
	}
	other, err := compute(password, v.salt, v.iterations)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(v.storedKey, other.storedKey) == 1, nil
}

// checkPassword refuses what could be another password to the client's library
// than to ours.
func checkPassword(password source.Secret) error {
	text := password.Reveal()
	if text == "" {
		return &PasswordError{"is empty, which PostgreSQL never lets in"}
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return &PasswordError{fmt.Sprintf("has a character that is not printable ASCII (byte %d): SASLprep (RFC 4013) "+
				"may change or forbid it, and not every driver follows it; generate a password of printable ASCII", i+1)}
		}
	}
	return nil
}

// A verifier is what the server stores.
type verifier struct {
	iterations           int
	salt                 []byte
	storedKey, serverKey []byte
}

func compute(password source.Secret, salt []byte, iterations int) (verifier, error) {
	salted, err := pbkdf2.Key(sha256.New, password.Reveal(), salt, iterations, sha256.Size)
	if err != nil {
		return verifier{}, fmt.Errorf("postgres: computing the verifier: %w", err) // in FIPS mode
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	return verifier{iterations, bytes.Clone(salt), stored[:], mac("Server Key")}, nil
}

func (v verifier) text() source.Secret {
	b64 := base64.StdEncoding.EncodeToString
	return source.NewSecret(fmt.Sprintf("%s$%d:%s$%s:%s", scheme, v.iterations, b64(v.salt), b64(v.storedKey), b64(v.serverKey)))
}

// parse reads a verifier more strictly than the server, which would also take
// blanks and zeros in front of the number.
func parse(text source.Secret) (v verifier, err error) {
	fields := strings.Split(text.Reveal(), "$")
	if len(fields) != 3 || fields[0] != scheme {
		return v, &VerifierError{"form", "should be " + scheme + "$iterations:salt$StoredKey:ServerKey"}
	}
	iterations, salt, ok := strings.Cut(fields[1], ":")
	if !ok {
		return v, &VerifierError{"salt", "is missing"}
	}
	stored, server, ok := strings.Cut(fields[2], ":")
	if !ok {
		return v, &VerifierError{"ServerKey", "is missing"}
	}
	v.iterations, err = strconv.Atoi(iterations)
	if err != nil || v.iterations < 1 || v.iterations > mostIterations || strconv.Itoa(v.iterations) != iterations {
		return v, &VerifierError{"iterations", fmt.Sprintf("should be a number from 1 to %d", mostIterations)}
	}
	for _, part := range []struct {
		name, text  string
		least, most int
		should      string
		to          *[]byte
	}{
		{"salt", salt, 1, mostSalt, "from 1 to 64", &v.salt},
		{"StoredKey", stored, sha256.Size, sha256.Size, "32", &v.storedKey},
		{"ServerKey", server, sha256.Size, sha256.Size, "32", &v.serverKey},
	} {
		// The decoder passes over the ends of lines, the server does not.
		raw, err := base64.StdEncoding.Strict().DecodeString(part.text)
		if err != nil || strings.ContainsAny(part.text, "\r\n") {
			return v, &VerifierError{part.name, "is not base64"}
		}
		if len(raw) < part.least || len(raw) > part.most {
			return v, &VerifierError{part.name, fmt.Sprintf("has %d bytes; it should have %s", len(raw), part.should)}
		}
		*part.to = raw
	}
	return v, nil
}
