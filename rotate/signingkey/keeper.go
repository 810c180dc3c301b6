package signingkey

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/document"
	"github.com/rekey-go/rekey/rotate/keys"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/jwk"
)

// A keeper keeps the public halves in the document.
type keeper struct{ Config }

var (
	_ keys.Generator = (*keeper)(nil)
	_ keys.Observer  = (*keeper)(nil)
)

func (k *keeper) List(ctx context.Context) ([]keys.Key, error) {
	text, _, err := k.Document.Read(ctx)
	if err != nil {
		return nil, err
	}
	all, err := parse(text)
	list := make([]keys.Key, len(all))
	for i, e := range all {
		list[i] = keys.Key{ID: e.JWK.ID, Label: e.Label, Active: e.Active, Created: e.Created}
	}
	return list, err
}

func (k *keeper) Generate() (source.Secret, error) { return jwk.Generate(k.Algorithm) }

func (k *keeper) Register(ctx context.Context, key source.Credential, label string) error {
	err := publish(ctx, k.Document, key, label)
	if errors.Is(err, jwk.ErrUnsupportedKey) {
		err = fmt.Errorf("%w: %w", rotate.ErrUnfit, err)
	}
	return err
}

func (k *keeper) Label(ctx context.Context, id, label string) error {
	return change(ctx, k.Document, id, func(e *entry) { e.Label = label })
}

func (k *keeper) Activate(ctx context.Context, id string) error {
	now := time.Now().UTC()
	return change(ctx, k.Document, id, func(e *entry) {
		if !e.Active {
			e.Active, e.Published = true, now
		}
		e.Waiting = time.Time{}
	})
}

func (k *keeper) Deactivate(ctx context.Context, id string) error {
	return change(ctx, k.Document, id, func(e *entry) { e.Active = false })
}

func (k *keeper) Delete(ctx context.Context, id string) error {
	return document.Change(ctx, k.Document, func(old []byte) ([]byte, error) {
		all, err := parse(old)
		if err != nil {
			return nil, err
		}
		kept := slices.DeleteFunc(slices.Clone(all), func(e entry) bool { return e.JWK.ID == id })
		if len(kept) == len(all) {
			return old, nil
		}
		return json.MarshalIndent(kept, "", "  ")
	})
}

// InUse is 1 until the last token of the key has expired. The time begins when it
// is asked first, which is after the next key was promoted.
func (k *keeper) InUse(ctx context.Context, id string) (n int, err error) {
	now := time.Now().UTC()
	err = change(ctx, k.Document, id, func(e *entry) {
		n = 0
		if !e.Active {
			return
		}
		if e.Waiting.IsZero() {
			e.Waiting = now
		}
		if now.Before(e.Waiting.Add(k.Lifetime)) {
			n = 1
		}
	})
	if errors.Is(err, keys.ErrNotFound) {
		return 0, nil
	}
	return n, err
}

// Check signs with the private key and verifies with what is published.
func (k *keeper) Check(ctx context.Context, key source.Credential) (bool, error) {
	published, err := k.fetch(ctx)
	if err != nil {
		return false, err
	}
	private, _, err := jwk.Private(key.Password)
	if err != nil {
		return false, nil //nolint:nilerr // such a key signs nothing
	}
	sig, err := sign(private)
	if err != nil {
		return false, errors.New("signingkey: the private key does not sign")
	}
	return verifies(published[key.Username], sig), nil
}

// longestSet is more than any set has.
const longestSet = 1 << 20

// fetch returns what verifiers see.
func (k *keeper) fetch(ctx context.Context) (map[string]crypto.PublicKey, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.URL, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Cache-Control", "no-cache") // what is there now
	answer, err := k.Client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("signingkey: %s answers %s", k.URL, answer.Status)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, longestSet))
	if err != nil {
		return nil, err
	}
	return jwk.ParseSet(text)
}

// verify waits until every verifier has the key.
func (k *keeper) verify(ctx context.Context, c rotate.Change) error {
	text, _, err := k.Document.Read(ctx)
	if err != nil {
		return err
	}
	all, err := parse(text)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(e entry) bool { return e.JWK.ID == c.To.Username })
	if i < 0 {
		return fmt.Errorf("it was undone meanwhile: %w", rotate.ErrUnfit)
	}
	until := all[i].Published.Add(k.Propagation)
	if end, ok := ctx.Deadline(); ok && end.Before(until) {
		return &EarlyError{c.To.Username, until}
	}
	select {
	case <-time.After(time.Until(until)):
	case <-ctx.Done():
		return ctx.Err()
	}
	if k.Verify == nil {
		return nil
	}
	return k.Verify(ctx, c)
}
