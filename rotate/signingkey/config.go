package signingkey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/document"
	"github.com/rekey-go/rekey/rotate/keys"
	"github.com/rekey-go/rekey/source/jwk"
)

// Config says which keys are rotated. All but Name, Client and Verify is needed.
type Config struct {
	// Document keeps what is published.
	Document document.Store

	// URL is where verifiers fetch the public keys, such as
	// https://issuer.example/.well-known/jwks.json.
	URL string

	// Client fetches URL. Nil: [http.DefaultClient].
	Client *http.Client

	// Algorithm of the next key.
	Algorithm jwk.Algorithm

	// Propagation is how long after its publication every verifier has a key: the
	// longest that they and what is between cache the set, and a margin. Verify
	// waits for that; where the step has less time ([rotate.Config.StepTimeout]), it
	// fails at once with an [*EarlyError], and a run after that time goes on.
	Propagation time.Duration

	// Lifetime is the longest that a token is valid, with the time in which signers
	// take to the next key and the skew of clocks. The drain waits for it, so
	// [rotate.Config.DrainTimeout] should be longer.
	Lifetime time.Duration

	// Name begins the IDs of keys. Empty: "key".
	Name string

	// Verify proves something more of the next key. An error that wraps
	// [rotate.ErrUnfit] speaks against it. Nil: nothing.
	Verify func(ctx context.Context, c rotate.Change) error
}

// An EarlyError says that not every verifier may have the next key yet. Run the
// rotation again then.
type EarlyError struct {
	ID    string    // of the next key
	Until time.Time // every verifier has it then
}

func (e *EarlyError) Error() string {
	return fmt.Sprintf("signingkey: key %q is with every verifier from %s on; run the rotation again then", e.ID, e.Until.Format(time.RFC3339))
}

// New returns the target of keys that sign tokens. It asks nobody yet. The first
// key has to be published with [Publish].
func New(c *Config) (rotate.Target, error) {
	if c == nil || c.Document == nil || c.URL == "" || c.Propagation <= 0 || c.Lifetime <= 0 {
		return nil, errors.New("signingkey: the configuration needs Document, URL and positive times for Propagation and Lifetime")
	}
	if !c.Algorithm.Known() {
		return nil, fmt.Errorf("signingkey: the algorithm is %q; it should be %s, %s or %s", string(c.Algorithm), jwk.EdDSA, jwk.ES256, jwk.RS256)
	}
	k := &keeper{*c}
	k.Client = cmp.Or(c.Client, http.DefaultClient)
	return keys.New(&keys.Config{Keeper: k, Name: c.Name, Verify: k.verify})
}
