package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/rekey-go/rekey/internal/fields"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/internal/beside"
	"github.com/rekey-go/rekey/source"
)

// Options adjust a [Store]. The zero value, or nil, means the defaults.
type Options struct {
	// Beside is the name of the Secret where the pending and the previous version
	// are kept, in the same namespace. Empty: the Secret's name with "-rekey" at
	// its end.
	Beside string

	// UsernameField and PasswordField name the keys that hold the user name and
	// the password. Empty: "username" and "password".
	UsernameField, PasswordField string

	// AllowNoUsername accepts a Secret without a user name.
	AllowNoUsername bool
}

var (
	_ rotate.Store     = (*Store)(nil)
	_ rotate.Historian = (*Store)(nil)
)

// A Store keeps one secret. Its methods are safe for concurrent use, by several
// processes as well. A request that failed is an [*Error], a key that is missing or
// unusable a [*source.FieldError].
type Store struct {
	name  string
	place *secrets
	docs  beside.Store
	err   error // what is wrong with the arguments, told at every call
}

// New returns a store of the Secret of this name. It must be there and not be
// immutable. client is the CoreV1() of a clientset, or made by NewForConfig of
// client-go's package kubernetes/typed/core/v1. Mistakes in the arguments are
// reported by every method.
func New(client corev1.SecretsGetter, namespace, name string, opts *Options) *Store {
	var o Options
	if opts != nil {
		o = *opts
	}
	names := fields.Names{
		Username: cmp.Or(o.UsernameField, "username"), Password: cmp.Or(o.PasswordField, "password"),
		OptionalUsername: o.AllowNoUsername,
	}
	s := &Store{name: namespace + "/" + name}
	s.place = &secrets{client: client, namespace: namespace, secret: name, beside: cmp.Or(o.Beside, name+"-rekey"), names: names}
	s.docs = beside.Store{Place: s.place, Names: names}
	if err := s.place.check(); err != nil {
		s.err = source.Permanent(fmt.Errorf("kubernetes: %w", err))
	}
	return s
}

// check finds mistakes in the arguments.
func (s *secrets) check() error {
	if s.client == nil {
		return errors.New("the client is nil")
	}
	if wrong := validation.IsDNS1123Label(s.namespace); len(wrong) > 0 {
		return fmt.Errorf("%q cannot be a namespace: %s", s.namespace, wrong[0])
	}
	for _, name := range []string{s.secret, s.beside} {
		if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 {
			return fmt.Errorf("%q cannot be the name of a Secret: %s", name, wrong[0])
		}
	}
	for _, key := range []string{s.names.Username, s.names.Password} {
		if wrong := validation.IsConfigMapKey(key); len(wrong) > 0 {
			return fmt.Errorf("%q cannot be a key of a Secret: %s", key, wrong[0])
		}
		if key == beside.Marker {
			return fmt.Errorf("the key %q is the store's own", key)
		}
	}
	switch {
	case s.names.Username == s.names.Password:
		return fmt.Errorf("the key %q cannot hold both user name and password", s.names.Password)
	case s.beside == s.secret:
		return errors.New("Options.Beside must be another Secret than " + s.secret)
	}
	return nil
}

// Name returns "NAMESPACE/NAME".
func (s *Store) Name() string { return s.name }

// Read returns what the store holds now.
func (s *Store) Read(ctx context.Context) (rotate.State, error) {
	if s.err != nil {
		return rotate.State{}, s.err
	}
	return s.docs.Read(ctx)
}

// Create has the server try the update that promotes next, and writes the envelope
// with next as pending. See [rotate.Store] for what this and the other methods keep
// to.
func (s *Store) Create(ctx context.Context, token string, next source.Credential) error {
	return s.do(func() error {
		if strings.TrimSpace(token) != "" {
			if err := s.place.rehearse(ctx, token, next); err != nil {
				return err
			}
		}
		return s.docs.Create(ctx, token, next)
	})
}

// Promote updates the Secret.
func (s *Store) Promote(ctx context.Context, token, from string) error {
	return s.do(func() error { return s.docs.Promote(ctx, token, from) })
}

// Discard updates the envelope. etcd forgets the pending version at its next
// compaction.
func (s *Store) Discard(ctx context.Context, token string) error {
	return s.do(func() error { return s.docs.Discard(ctx, token) })
}

// Restore updates the Secret.
func (s *Store) Restore(ctx context.Context, to, from string) error {
	return s.do(func() error { return s.docs.Restore(ctx, to, from) })
}

// History returns the versions that were current, oldest first: the last hundred
// since a rotation has first been here.
func (s *Store) History(ctx context.Context) ([]rotate.Record, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.docs.History(ctx)
}

func (s *Store) do(change func() error) error {
	if s.err != nil {
		return s.err
	}
	return change()
}
