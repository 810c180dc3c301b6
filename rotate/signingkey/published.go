package signingkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/rekey-go/rekey/rotate/document"
	"github.com/rekey-go/rekey/rotate/keys"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/jwk"
)

// An entry is a key in the document.
type entry struct {
	JWK       jwk.Key   `json:"jwk"`
	Label     string    `json:"label,omitempty"`
	Active    bool      `json:"active"` // it is published
	Created   time.Time `json:"created"`
	Published time.Time `json:"published"`        // the last time that it became active
	Waiting   time.Time `json:"waiting,omitzero"` // since when its last tokens are waited for
}

// parse reads a document; one that is empty has no keys.
func parse(text []byte) (all []entry, err error) {
	if len(text) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, errors.New("signingkey: the document is not one that this package has written")
	}
	return all, nil
}

// change has f change the entry of an ID.
func change(ctx context.Context, d document.Store, id string, f func(*entry)) error {
	return document.Change(ctx, d, func(old []byte) ([]byte, error) {
		all, err := parse(old)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(e entry) bool { return e.JWK.ID == id })
		if i < 0 {
			return nil, keys.ErrNotFound
		}
		before := all[i]
		if f(&all[i]); all[i] == before {
			return old, nil
		}
		return json.MarshalIndent(all, "", "  ")
	})
}

// Publish publishes the public half of a key that no rotation has made, such as the
// first. Key's user name is its "kid", its password the private key. It is done
// once; a key of that ID that is there already is an error that wraps
// [keys.ErrExists].
func Publish(ctx context.Context, d document.Store, key source.Credential) error {
	return publish(ctx, d, key, "")
}

func publish(ctx context.Context, d document.Store, key source.Credential, label string) error {
	private, _, err := jwk.Private(key.Password)
	if err != nil {
		return err
	}
	public, err := jwk.New(key.Username, private.Public())
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	return document.Change(ctx, d, func(old []byte) ([]byte, error) {
		all, err := parse(old)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(e entry) bool { return e.JWK.ID == public.ID }) {
			return nil, fmt.Errorf("signingkey: %q: %w", public.ID, keys.ErrExists)
		}
		return json.MarshalIndent(append(all, entry{public, label, true, now, now, time.Time{}}), "", "  ")
	})
}

// Handler serves the JWK Set of a document, which it reads for each request.
// MaxAge is how long others may cache it; it is a part of [Config.Propagation].
func Handler(d document.Store, maxAge time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		text, _, err := d.Read(r.Context())
		all, parseErr := parse(text)
		set := jwk.Set{Keys: []jwk.Key{}}
		for _, e := range all {
			if e.Active {
				set.Keys = append(set.Keys, e.JWK)
			}
		}
		answer, marshalErr := json.Marshal(set)
		if errors.Join(err, parseErr, marshalErr) != nil {
			http.Error(w, "the keys cannot be read", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(max(maxAge, 0).Seconds())))
		_, _ = w.Write(answer)
	})
}
