package kms

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rekey-go/rekey/rotate/document"
	"github.com/rekey-go/rekey/rotate/keys"
)

// Ring returns a service whose keys, for AES-256 in GCM, lie in a document: whoever
// can read it has them all. It is for development and tests, and for what lies on
// one machine with the document.
func Ring(d document.Store) Service { return &ring{d} }

type ring struct{ document document.Store }

// A link is a key in the document.
type link struct {
	ID      string    `json:"id"`
	Label   string    `json:"label,omitempty"`
	Enabled bool      `json:"enabled"`
	Created time.Time `json:"created"`
	Key     []byte    `json:"key"`
}

func parse(text []byte) (all []link, err error) {
	if len(text) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, errors.New("kms: the document is not a ring of keys") // err might quote one
	}
	return all, nil
}

func (r *ring) read(ctx context.Context) ([]link, error) {
	text, _, err := r.document.Read(ctx)
	if err != nil {
		return nil, err
	}
	return parse(text)
}

// change writes what f makes of the keys.
func (r *ring) change(ctx context.Context, f func([]link) ([]link, error)) error {
	return document.Change(ctx, r.document, func(old []byte) ([]byte, error) {
		all, err := parse(old)
		if err != nil {
			return nil, err
		}
		if all, err = f(all); err != nil {
			return nil, err
		}
		return json.MarshalIndent(all, "", "  ")
	})
}

// at changes one key.
func (r *ring) at(ctx context.Context, id string, f func(*link)) error {
	return r.change(ctx, func(all []link) ([]link, error) {
		for i := range all {
			if all[i].ID == id {
				f(&all[i])
				return all, nil
			}
		}
		return nil, fmt.Errorf("kms: %q: %w", id, keys.ErrNotFound)
	})
}

func (r *ring) List(ctx context.Context) ([]keys.Key, error) {
	all, err := r.read(ctx)
	list := make([]keys.Key, len(all))
	for i, k := range all {
		list[i] = keys.Key{ID: k.ID, Label: k.Label, Active: k.Enabled, Created: k.Created}
	}
	return list, err
}

func (r *ring) Label(ctx context.Context, id, label string) error {
	return r.at(ctx, id, func(k *link) { k.Label = label })
}

func (r *ring) Create(ctx context.Context, label string) (string, error) {
	next := link{"key_" + strings.ToLower(rand.Text()), label, true, time.Now().UTC(), make([]byte, 32)}
	_, _ = rand.Read(next.Key) // never fails
	return next.ID, r.change(ctx, func(all []link) ([]link, error) { return append(all, next), nil })
}

func (r *ring) Enable(ctx context.Context, id string) error {
	return r.at(ctx, id, func(k *link) { k.Enabled = true })
}

func (r *ring) Disable(ctx context.Context, id string) error {
	return r.at(ctx, id, func(k *link) { k.Enabled = false })
}

func (r *ring) Delete(ctx context.Context, id string) error {
	return r.change(ctx, func(all []link) ([]link, error) {
		return slices.DeleteFunc(all, func(k link) bool { return k.ID == id }), nil
	})
}

// aead returns what an enabled key does.
func (r *ring) aead(ctx context.Context, id string) (cipher.AEAD, error) {
	all, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(k link) bool { return k.ID == id && k.Enabled })
	if i < 0 {
		return nil, fmt.Errorf("kms: key %q is disabled or not there: %w", id, ErrRejected)
	}
	block, err := aes.NewCipher(all[i].Key)
	if err != nil {
		return nil, fmt.Errorf("kms: key %q: %w", id, err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (r *ring) Encrypt(ctx context.Context, id string, plaintext []byte) ([]byte, error) {
	a, err := r.aead(ctx, id)
	if err != nil {
		return nil, err
	}
	return a.Seal(nil, nil, plaintext, []byte(id)), nil
}

func (r *ring) Decrypt(ctx context.Context, id string, ciphertext []byte) ([]byte, error) {
	a, err := r.aead(ctx, id)
	if err != nil {
		return nil, err
	}
	plain, err := a.Open(nil, nil, ciphertext, []byte(id))
	if err != nil {
		return nil, fmt.Errorf("kms: key %q: the ciphertext is not of it: %w", id, ErrRejected)
	}
	return plain, nil
}
