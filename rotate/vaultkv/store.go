package vaultkv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/internal/fields"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/internal/beside"
	"github.com/rekey-go/rekey/source"
)

// Options adjust a [Store]. The zero value, or nil, means the defaults.
type Options struct {
	// Beside is the path below the mount where the pending and the previous
	// version are kept. Empty: the secret's path with "-rekey" at its end.
	Beside string

	// UsernameField and PasswordField name the keys that hold the user name and
	// the password. Empty: "username" and "password".
	UsernameField, PasswordField string

	// AllowNoUsername accepts a secret without a user name.
	AllowNoUsername bool
}

var (
	_ rotate.Store     = (*Store)(nil)
	_ rotate.Historian = (*Store)(nil)
)

// A Store keeps one secret. Its methods are safe for concurrent use, by several
// processes as well. A request that failed is a [*vault.Error], a field that is
// missing or unusable a [*source.FieldError].
type Store struct {
	name string
	docs beside.Store
	err  error // what is wrong with the arguments, told at every call
}

// New returns a store of the secret at path of the key-value engine, version 2,
// at mount. The secret must be there. Mistakes in the arguments are reported by
// every method.
func New(client *api.Client, mount, path string, opts *Options) *Store {
	var o Options
	if opts != nil {
		o = *opts
	}
	mount, path = strings.Trim(mount, "/"), strings.Trim(path, "/")
	aside := strings.Trim(cmp.Or(o.Beside, path+"-rekey"), "/")
	s := &Store{name: mount + "/" + path}
	for _, p := range []string{mount, path, aside} {
		if p == "" || strings.ContainsAny(p, "?#\x00") || strings.Contains(p, "//") || strings.Contains("/"+p+"/", "/./") || strings.Contains("/"+p+"/", "/../") {
			s.err = source.Permanent(fmt.Errorf("vaultkv: %q cannot be one of Vault's paths", p))
		}
	}
	switch {
	case client == nil:
		s.err = source.Permanent(errors.New("vaultkv: the client is nil"))
	case aside == path:
		s.err = source.Permanent(fmt.Errorf("vaultkv: %s: Options.Beside must be another path than the secret's", s.name))
	}
	s.docs = beside.Store{
		Place: &engine{client, mount + "/data/" + path, mount + "/data/" + aside},
		Names: fields.Names{
			Username: cmp.Or(o.UsernameField, "username"), Password: cmp.Or(o.PasswordField, "password"),
			OptionalUsername: o.AllowNoUsername,
		},
	}
	return s
}

// Name returns "MOUNT/PATH".
func (s *Store) Name() string { return s.name }

// Read returns what the store holds now.
func (s *Store) Read(ctx context.Context) (rotate.State, error) {
	if s.err != nil {
		return rotate.State{}, s.err
	}
	return s.docs.Read(ctx)
}

// Create writes the envelope with next as pending. See [rotate.Store] for what
// this and the other methods keep to.
func (s *Store) Create(ctx context.Context, token string, next source.Credential) error {
	return s.do(func() error { return s.docs.Create(ctx, token, next) })
}

// Promote writes the secret.
func (s *Store) Promote(ctx context.Context, token, from string) error {
	return s.do(func() error { return s.docs.Promote(ctx, token, from) })
}

// Discard writes the envelope without the pending version. The engine may still
// keep it as a former version of the envelope.
func (s *Store) Discard(ctx context.Context, token string) error {
	return s.do(func() error { return s.docs.Discard(ctx, token) })
}

// Restore writes the secret.
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
