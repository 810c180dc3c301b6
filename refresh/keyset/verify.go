package keyset

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

var (
	// ErrInvalidToken is wrapped by the errors of Verify: the token is not to be trusted.
	ErrInvalidToken = errors.New("keyset: the token is not accepted")

	// ErrUnknownKey is wrapped by those that say that no key of that ID is known.
	ErrUnknownKey = errors.New("its key is not known")
)

// Expect is what a token has to say. The zero value asks for nothing but a time.
type Expect struct {
	// Issuer is who has to have issued the token. Empty: anybody who has the key.
	Issuer string

	// Audience are for whom the token may be; one of them is enough. Empty: for anybody.
	Audience []string

	// Leeway is how far clocks may be apart. Zero: 1 min. Negative: none.
	Leeway time.Duration
}

func (e Expect) withDefaults() Expect {
	e.Leeway = max(cmp.Or(e.Leeway, time.Minute), 0)
	return e
}

// algorithms are those that any key can have. Which one a token may have is up to its key.
var algorithms = []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256, jose.RS256, jose.HS256}

// verify checks a token with the keys that find returns for its ID.
func (e Expect) verify(token string, find func(id string) []key, claims []any) error {
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil || len(parsed.Headers) != 1 {
		return fmt.Errorf("%w: it is no signed token", ErrInvalidToken) // err might quote it
	}
	header := parsed.Headers[0]
	keys := find(header.KeyID)
	if header.KeyID == "" || len(keys) == 0 {
		return fmt.Errorf("%w: %w", ErrInvalidToken, ErrUnknownKey)
	}
	for _, k := range keys {
		if header.Algorithm != string(k.algorithm) { // that of the key counts
			continue
		}
		var registered jwt.Claims
		if parsed.Claims(k.verify, &registered) != nil {
			continue
		}
		if err := e.check(registered); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalidToken, err)
		}
		if err := parsed.Claims(k.verify, claims...); err != nil {
			return fmt.Errorf("%w: its claims are not as they should be", ErrInvalidToken)
		}
		return nil
	}
	return fmt.Errorf("%w: its signature is not that of key %q", ErrInvalidToken, header.KeyID)
}

func (e Expect) check(c jwt.Claims) error {
	if c.Expiry == nil {
		return errors.New("it has no end")
	}
	return c.ValidateWithLeeway(jwt.Expected{Issuer: e.Issuer, AnyAudience: e.Audience, Time: time.Now()}, e.Leeway)
}
