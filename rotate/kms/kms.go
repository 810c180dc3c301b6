package kms

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/keys"
	"github.com/rekey-go/rekey/source"
)

// ErrRejected is wrapped by errors of a [Service] that does not encrypt or decrypt
// because of what it was given: the key is disabled or not there, or the ciphertext
// is not of it.
var ErrRejected = errors.New("the key does not do that")

// A Service keeps keys. Its methods are safe for concurrent use, and none of its
// errors holds a plaintext. What it shares with [keys.Keeper] keeps to the rules
// there; its keys are enabled where those are active. The interface stays as it is
// within a major version.
type Service interface {
	// List returns the keys, past every cache, and Label gives one another label.
	List(ctx context.Context) ([]keys.Key, error)
	Label(ctx context.Context, id, label string) error

	// Create makes a key with a label and returns its ID. The label is on it from
	// the first moment.
	Create(ctx context.Context, label string) (id string, err error)

	// Enable lets a key be used, Disable keeps it from that. What is so already stays.
	Enable(ctx context.Context, id string) error
	Disable(ctx context.Context, id string) error

	// Delete deletes a key, or has it deleted after a time. From now on, List does
	// not show it.
	Delete(ctx context.Context, id string) error

	// Encrypt and Decrypt fail with an error that wraps [ErrRejected] if it is for the
	// key or the ciphertext that they do.
	Encrypt(ctx context.Context, id string, plaintext []byte) ([]byte, error)
	Decrypt(ctx context.Context, id string, ciphertext []byte) ([]byte, error)
}

// Config says which keys are rotated. Service is needed.
type Config struct {
	// Service keeps the keys.
	Service Service

	// InUse counts what is still encrypted under an old key. It may encrypt some of
	// it anew each time that it is asked. The key is kept until nothing is left. Nil:
	// nobody is asked, and old keys are disabled at once.
	InUse func(ctx context.Context, id string) (int, error)

	// Verify proves something more of the next key, such as that the application may
	// use it. An error that wraps [rotate.ErrUnfit] speaks against it. Nil: nothing.
	Verify func(ctx context.Context, c rotate.Change) error
}

// New returns the target of keys in a service. It asks nobody yet.
func New(c *Config) (rotate.Target, error) {
	if c == nil || c.Service == nil {
		return nil, errors.New("kms: the configuration needs Service")
	}
	return keys.New(&keys.Config{Keeper: &keeper{*c}, Verify: c.Verify})
}

// NewKey makes an enabled key, the first of a secret, and its data key.
func NewKey(ctx context.Context, s Service) (source.Credential, error) {
	return newKey(ctx, s, "")
}

const dataKeySize = 32

func newKey(ctx context.Context, s Service, label string) (c source.Credential, err error) {
	if c.Username, err = s.Create(ctx, label); err != nil {
		return c, fmt.Errorf("kms: a key cannot be made: %w", err)
	}
	dataKey := make([]byte, dataKeySize)
	_, _ = rand.Read(dataKey) // never fails
	wrapped, err := s.Encrypt(ctx, c.Username, dataKey)
	if err != nil {
		return c, fmt.Errorf("kms: key %q does not encrypt: %w", c.Username, err)
	}
	c.Password = source.NewSecret(base64.StdEncoding.EncodeToString(wrapped))
	return c, nil
}

// DataKey has the service decrypt the data key of a credential: 32 bytes, which are as
// secret as the key.
func DataKey(ctx context.Context, s Service, c source.Credential) ([]byte, error) {
	wrapped, err := base64.StdEncoding.DecodeString(c.Password.Reveal())
	if err != nil {
		return nil, fmt.Errorf("kms: key %q: the password is not a data key in base64: %w", c.Username, ErrRejected)
	}
	plain, err := s.Decrypt(ctx, c.Username, wrapped)
	if err == nil && len(plain) != dataKeySize {
		err = fmt.Errorf("kms: key %q: the data key should have %d bytes: %w", c.Username, dataKeySize, ErrRejected)
	}
	return plain, err
}

// A keeper is a service as package keys sees it.
type keeper struct{ Config }

var (
	_ keys.Drawer   = (*keeper)(nil)
	_ keys.Observer = (*keeper)(nil)
)

func (k *keeper) List(ctx context.Context) ([]keys.Key, error) { return k.Service.List(ctx) }

func (k *keeper) Label(ctx context.Context, id, label string) error {
	return k.Service.Label(ctx, id, label)
}

func (k *keeper) Activate(ctx context.Context, id string) error { return k.Service.Enable(ctx, id) }

func (k *keeper) Deactivate(ctx context.Context, id string) error { return k.Service.Disable(ctx, id) }

func (k *keeper) Delete(ctx context.Context, id string) error { return k.Service.Delete(ctx, id) }

func (k *keeper) Draw(ctx context.Context, label string) (source.Credential, error) {
	c, err := newKey(ctx, k.Service, label)
	if err != nil {
		return c, err
	}
	return c, k.Service.Disable(ctx, c.Username)
}

// Check goes there and back again, and decrypts what the key has encrypted when it
// was made.
func (k *keeper) Check(ctx context.Context, key source.Credential) (bool, error) {
	plain, err := DataKey(ctx, k.Service, key)
	if err == nil {
		var there, back []byte
		if there, err = k.Service.Encrypt(ctx, key.Username, plain); err == nil {
			back, err = k.Service.Decrypt(ctx, key.Username, there)
		}
		if err == nil && !bytes.Equal(plain, back) {
			return false, nil
		}
	}
	if errors.Is(err, ErrRejected) {
		return false, ctx.Err()
	}
	return err == nil, err
}

func (k *keeper) InUse(ctx context.Context, id string) (int, error) {
	if k.Config.InUse == nil {
		return 0, nil
	}
	return k.Config.InUse(ctx, id)
}
