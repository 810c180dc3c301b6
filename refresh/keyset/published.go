package keyset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/internal/bystander"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/jwk"
)

// SetField is the name of the field that holds a JWK Set.
const SetField = "jwks"

// longestSet is more than any set has.
const longestSet = 1 << 20

// Published returns a source whose credential holds the JWK Set at url. A nil client is
// [http.DefaultClient]. Its refresher's Poll should be shorter than the time for which
// the issuer publishes a key before it signs.
func Published(url string, client *http.Client) source.Source {
	if client == nil {
		client = http.DefaultClient
	}
	return source.Func(func(ctx context.Context) (c source.Credential, err error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return c, source.Permanent(fmt.Errorf("keyset: %w", err))
		}
		if source.CacheBypassed(ctx) {
			r.Header.Set("Cache-Control", "no-cache")
		}
		resp, err := client.Do(r)
		if err != nil {
			return c, fmt.Errorf("keyset: %w", err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return c, fmt.Errorf("keyset: %s answers %s", url, resp.Status)
		}
		text, err := io.ReadAll(io.LimitReader(resp.Body, longestSet))
		if err != nil {
			return c, fmt.Errorf("keyset: %s: %w", url, err)
		}
		if _, err := parseSet(text); err != nil {
			return c, fmt.Errorf("%s: %w", url, err)
		}
		return c.WithFields(map[string]source.Secret{SetField: source.NewSecret(string(text))}), nil
	})
}

// parseSet returns the keys of a set, of which there has to be one.
func parseSet(text []byte) (map[string]key, error) {
	halves, err := jwk.ParseSet(text)
	if err != nil {
		return nil, err
	}
	keys := make(map[string]key, len(halves))
	for id, half := range halves {
		if keys[id], err = public(id, half); err != nil {
			return nil, err
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("keyset: the JWK Set has no key for EdDSA, ES256 or RS256 with an ID")
	}
	return keys, nil
}

// VerifierOptions adjust a [Verifier]. The zero value, or nil, means the defaults.
type VerifierOptions struct {
	Expect
}

// A Verifier verifies tokens with the keys that an issuer publishes. It is safe for
// concurrent use.
type Verifier struct {
	keys   *refresh.Derived[map[string]key]
	pins   *refresh.Attachment
	expect Expect
}

// NewVerifier follows r, whose credential holds a JWK Set in the field "jwks", or as the
// password where there is no such field. It fails if there is no key in it; later sets
// without are not adopted.
func NewVerifier(ctx context.Context, r *refresh.Refresher, opts *VerifierOptions) (*Verifier, error) {
	keys, err := refresh.Derive(ctx, r, func(s refresh.Snapshot) (map[string]key, error) {
		text, ok := s.Field(SetField)
		if !ok {
			text = s.Password
		}
		return parseSet([]byte(text.Reveal()))
	})
	if err != nil {
		return nil, err
	}
	pins, err := bystander.Attach(ctx, r)
	if err != nil {
		keys.Close()
		return nil, err
	}
	if opts == nil {
		opts = new(VerifierOptions)
	}
	return &Verifier{keys, pins, opts.withDefaults()}, nil
}

// Close stops following the refresher. The last keys go on to verify.
func (v *Verifier) Close() {
	v.keys.Close()
	v.pins.Detach()
}

// Verify checks a token and reads its claims into each of claims. The error wraps
// [ErrInvalidToken]. If it wraps [ErrUnknownKey] too, the issuer is asked for its keys, with
// growing pauses, so that wrong tokens do not burden it; Verify does not wait for that.
func (v *Verifier) Verify(token string, claims ...any) error {
	err := v.expect.verify(token, v.find, claims)
	if errors.Is(err, ErrUnknownKey) {
		pin := v.pins.Pin()
		pin.Doubt()
		pin.Release()
	}
	return err
}

func (v *Verifier) find(id string) []key {
	if k, ok := v.keys.Get()[id]; ok {
		return []key{k}
	}
	return nil
}
