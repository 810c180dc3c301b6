package keyset

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/internal/overlap"
	"github.com/rekey-go/rekey/source/jwk"
)

// Options adjust a [Set]. The zero value, or nil, means the defaults.
type Options struct {
	Expect

	// HMAC says that keys are shared secrets of at least 32 bytes, for HS256.
	HMAC bool

	// Keep is how long a key verifies and is published after another has become
	// current: longer than tokens are valid. Zero or less: 1 h.
	Keep time.Duration

	// Also are fields of the current credential that hold keys which verify and are
	// published as well, such as "next": verifiers should have a key before it signs.
	// The ID is in the field of that name with "_kid" behind it. Those that are missing
	// are left out.
	Also []string
}

// A Set signs with the current key and verifies with it, those before it and those beside
// it. It is safe for concurrent use.
type Set struct {
	keys   *overlap.Values[generation]
	expect Expect
}

// A generation is what one credential holds.
type generation struct {
	signer jose.Signer
	own    key
	also   []key
}

// New follows r. It fails if the current credential holds no key; later ones without are
// not adopted.
func New(ctx context.Context, r *refresh.Refresher, opts *Options) (*Set, error) {
	if opts == nil {
		opts = new(Options)
	}
	also, symmetric := opts.Also, opts.HMAC
	keys, err := overlap.New(ctx, r, cmp.Or(max(opts.Keep, 0), time.Hour), func(s refresh.Snapshot) (generation, error) {
		return parse(s, also, symmetric)
	})
	if err != nil {
		return nil, err
	}
	return &Set{keys, opts.withDefaults()}, nil
}

func parse(s refresh.Snapshot, also []string, symmetric bool) (g generation, err error) {
	var signs any
	if g.own, signs, err = private(s.Username, s.Password, symmetric); err != nil {
		return g, err
	}
	header := new(jose.SignerOptions).WithType("JWT").WithHeader("kid", g.own.id)
	if g.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: g.own.algorithm, Key: signs}, header); err != nil {
		return g, fmt.Errorf("keyset: key %q does not sign", g.own.id) // err might quote it
	}
	for _, name := range also {
		secret, ok := s.Field(name)
		if !ok || secret.IsEmpty() {
			continue
		}
		id, _ := s.Field(name + "_kid")
		k, _, err := private(id.Reveal(), secret, symmetric)
		if err != nil {
			return g, fmt.Errorf("the field %q: %w", name, err)
		}
		g.also = append(g.also, k)
	}
	return g, nil
}

// Close stops following the refresher. The last key goes on to sign.
func (s *Set) Close() { s.keys.Close() }

// Forget has only the keys of the current credential verify from now on: for a key that
// has become known to others.
func (s *Set) Forget() { s.keys.Forget() }

// Sign returns a token with claims, which are anything that is a JSON object. They need
// an end ("exp"), or no Verify accepts them.
func (s *Set) Sign(claims any) (string, error) {
	token, err := jwt.Signed(s.keys.Current().Of.signer).Claims(claims).Serialize()
	if err != nil {
		return "", fmt.Errorf("keyset: the token is not signed: %w", err)
	}
	return token, nil
}

// Verify checks a token and reads its claims into each of claims. The error wraps
// [ErrInvalidToken].
func (s *Set) Verify(token string, claims ...any) error {
	return s.expect.verify(token, s.find, claims)
}

// find returns the keys of an ID: more than one where the ID stays and the key changes.
func (s *Set) find(id string) (found []key) {
	for k := range s.all() {
		if k.id == id {
			found = append(found, k)
		}
	}
	return found
}

// all are the keys that verify, the current one first.
func (s *Set) all() func(yield func(key) bool) {
	return func(yield func(key) bool) {
		first := true
		for v := range s.keys.At(time.Now()) {
			if !yield(v.Of.own) {
				return
			}
			for _, k := range v.Of.also {
				if first && !yield(k) { // what earlier ones had beside them is over
					return
				}
			}
			first = false
		}
	}
}

// Handler serves the public halves of the keys that verify as a JWK Set, which others may
// cache for maxAge. Secrets are not published: their set is empty.
func (s *Set) Handler(maxAge time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		set, seen := jwk.Set{Keys: []jwk.Key{}}, make(map[string]bool)
		for k := range s.all() {
			if k.public.ID != "" && !seen[k.id] {
				set.Keys, seen[k.id] = append(set.Keys, k.public), true
			}
		}
		answer, err := json.Marshal(set)
		if err != nil {
			http.Error(w, "the keys cannot be written down", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(max(maxAge, 0).Seconds())))
		_, _ = w.Write(answer)
	})
}
