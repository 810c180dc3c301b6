package secretsmanager

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/fields"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/secretsmanager"
)

// A Client is what this package needs of a *secretsmanager.Client of
// aws-sdk-go-v2. A later version may need more of it: let a fake of your own embed one.
type Client interface {
	DescribeSecret(ctx context.Context, in *sdk.DescribeSecretInput, opts ...func(*sdk.Options)) (*sdk.DescribeSecretOutput, error)
	GetSecretValue(ctx context.Context, in *sdk.GetSecretValueInput, opts ...func(*sdk.Options)) (*sdk.GetSecretValueOutput, error)
	PutSecretValue(ctx context.Context, in *sdk.PutSecretValueInput, opts ...func(*sdk.Options)) (*sdk.PutSecretValueOutput, error)
	ListSecretVersionIds(ctx context.Context, in *sdk.ListSecretVersionIdsInput, opts ...func(*sdk.Options)) (*sdk.ListSecretVersionIdsOutput, error)
	UpdateSecretVersionStage(ctx context.Context, in *sdk.UpdateSecretVersionStageInput, opts ...func(*sdk.Options)) (*sdk.UpdateSecretVersionStageOutput, error)
}

// Options adjust a [Store]. The zero value, or nil, means the defaults.
type Options struct {
	// UsernameField and PasswordField name the keys of the JSON object that
	// hold the user name and the password. Empty: "username" and "password".
	UsernameField, PasswordField string

	// AllowNoUsername accepts a secret without a user name.
	AllowNoUsername bool
}

var (
	_ rotate.Store     = (*Store)(nil)
	_ rotate.Historian = (*Store)(nil)
)

// A Store keeps one secret. Its methods are safe for concurrent use, by several
// processes as well. A request that failed is a
// [*github.com/rekey-go/rekey/source/secretsmanager.Error], a key that is missing or
// unusable a [*source.FieldError].
type Store struct {
	client Client
	id     string
	names  fields.Names
	err    error // what is wrong with the arguments, told at every call
}

// New returns a store of the secret with this name or ARN. The secret must be
// there and have a value. Mistakes in the arguments are reported by every method.
func New(client Client, secretID string, opts *Options) *Store {
	var o Options
	if opts != nil {
		o = *opts
	}
	s := &Store{client: client, id: secretID, names: fields.Names{
		Username: cmp.Or(o.UsernameField, "username"), Password: cmp.Or(o.PasswordField, "password"),
		OptionalUsername: o.AllowNoUsername,
	}}
	switch {
	case client == nil:
		s.err = source.Permanent(errors.New("secretsmanager: the client is nil"))
	case secretID == "":
		s.err = source.Permanent(errors.New("secretsmanager: the secret ID is empty"))
	}
	return s
}

// Name returns the secret ID as it was given.
func (s *Store) Name() string { return s.id }

// Read returns what the store holds now. Versions never change, so the labels of
// one moment make all of it belong together.
func (s *Store) Read(ctx context.Context) (rotate.State, error) {
	l, err := s.labels(ctx)
	if err != nil {
		return rotate.State{}, err
	}
	var st rotate.State
	v, err := s.version(ctx, l.current)
	if err != nil {
		return rotate.State{}, err
	}
	st.Current = v.Version
	for _, other := range []struct {
		id string
		to **rotate.Version
	}{{l.pending, &st.Pending}, {l.previous, &st.Previous}} {
		if other.id == "" {
			continue
		}
		v, err := s.version(ctx, other.id)
		switch {
		case err == nil:
			*other.to = &v.Version
		case !valueless(err):
			return rotate.State{}, err
		}
	}
	return st, nil
}

// Create puts a version and labels it AWSPENDING. See [rotate.Store] for what
// this and the other methods keep to. token has 32 to 64 characters.
//
// If an earlier try with the same token has put a value and come no further,
// that value is the one.
func (s *Store) Create(ctx context.Context, token string, next source.Credential) error {
	if s.err != nil {
		return s.err
	}
	if token == "" { // the SDK would draw one
		return errors.New("secretsmanager: the token is empty")
	}
	l, err := s.labels(ctx)
	if err != nil {
		return err
	}
	if l.current == token {
		return nil
	}
	if l.pending != "" {
		_, err := s.get(ctx, l.pending)
		switch {
		case err == nil && l.pending == token:
			return nil
		case err == nil:
			return s.conflict("version %s is pending", l.pending)
		case !valueless(err):
			return err
		}
	}
	current, err := s.version(ctx, l.current)
	if err != nil {
		return err
	}
	value, err := s.successor(current, next)
	if err != nil {
		return err
	}
	if err := s.put(ctx, token, value); err != nil {
		return err
	}
	empty := l.pending
	return s.move(ctx, func(l labels) (*step, error) {
		switch {
		case l.current == token, l.pending == token:
			return nil, nil
		case l.previous == token:
			return nil, s.conflict("version %s is the previous one already", token)
		case l.pending != "" && l.pending != empty:
			return nil, s.conflict("version %s is pending", l.pending)
		}
		return &step{pending, l.holder, token}, nil
	})
}

// Promote moves AWSCURRENT from one version to the other.
func (s *Store) Promote(ctx context.Context, token, from string) error {
	done := false
	err := s.move(ctx, func(l labels) (*step, error) {
		switch {
		case l.current == token && l.holder == token && !done:
			done = true
			return &step{pending, token, ""}, nil
		case l.current == token:
			done = true
			return nil, nil
		case done:
			return nil, nil
		case l.current != from:
			return nil, s.conflict("version %s is current, not %s", l.current, from)
		case l.pending != token:
			return nil, s.conflict("version %s is not pending", token)
		}
		if _, err := s.get(ctx, token); valueless(err) {
			return nil, s.conflict("version %s has no value yet", token)
		} else if err != nil {
			return nil, err
		}
		return &step{current, from, token}, nil
	})
	if done { // AWSPENDING may be left: it does no harm before somebody else moves AWSCURRENT twice
		return nil
	}
	return err
}

// Discard takes AWSPENDING away. Secrets Manager removes versions without labels
// when it needs the room; until then they can be read by who knows the ID.
func (s *Store) Discard(ctx context.Context, token string) error {
	return s.move(ctx, func(l labels) (*step, error) {
		if token == "" || l.pending != token {
			return nil, nil
		}
		return &step{pending, token, ""}, nil
	})
}

// Restore moves AWSCURRENT back. AWSPENDING, if the version that is left still
// has it, is taken away before: else rotations of AWS's own would go on with it.
func (s *Store) Restore(ctx context.Context, to, from string) error {
	return s.move(ctx, func(l labels) (*step, error) {
		switch {
		case l.current == to:
			return nil, nil
		case l.current != from:
			return nil, s.conflict("version %s is current, not %s", l.current, from)
		case to == "" || l.previous != to:
			return nil, s.conflict("version %s is not the previous one", to)
		case l.holder == from:
			return &step{pending, from, ""}, nil
		}
		return &step{current, from, to}, nil
	})
}

func (s *Store) conflict(format string, a ...any) error {
	return fmt.Errorf("secretsmanager: %s: %s: %w", s.id, fmt.Sprintf(format, a...), rotate.ErrConflict)
}

// valueless reports whether err says that a version has no value.
func valueless(err error) bool {
	var e *secretsmanager.Error
	return errors.As(err, &e) && e.Op == "GetSecretValue" && e.Kind == secretsmanager.NotFound
}
