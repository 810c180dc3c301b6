package file

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/rekey-go/rekey/internal/fields"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/internal/beside"
	"github.com/rekey-go/rekey/source"
)

// Options adjust a [Store]. The zero value, or nil, means the defaults.
type Options struct {
	// Beside is the file for the pending and the previous version. Empty:
	// ".NAME.rekey" in the directory of the secret's file NAME. The lock is
	// taken on the file of the same name with ".lock" at its end.
	Beside string

	// UsernameField and PasswordField name the keys that hold the user name and
	// the password. Empty: "username" and "password".
	UsernameField, PasswordField string

	// AllowNoUsername accepts a file without a user name.
	AllowNoUsername bool
}

var (
	_ rotate.Store     = (*Store)(nil)
	_ rotate.Historian = (*Store)(nil)
)

// A Store keeps one secret. Its methods are safe for concurrent use, by several
// processes of one machine as well. A key that is missing or unusable is a
// [*source.FieldError]; errors of the system wrap an [*fs.PathError], of which a
// full disk is one.
//
// [*fs.PathError]: https://pkg.go.dev/io/fs#PathError
type Store struct {
	files *files
	docs  beside.Store
	err   error // what is wrong with the arguments, told at every call
}

// New returns a store of the secret in the file at path, which must be there.
// Links on the way to it are followed at each call. Mistakes in the arguments
// are reported by every method.
func New(path string, opts *Options) *Store {
	var o Options
	if opts != nil {
		o = *opts
	}
	s := &Store{files: &files{}}
	var err, besideErr error
	s.files.secret, err = filepath.Abs(path)
	aside := cmp.Or(o.Beside, filepath.Join(filepath.Dir(s.files.secret), "."+filepath.Base(s.files.secret)+".rekey"))
	s.files.beside, besideErr = filepath.Abs(aside)
	switch {
	case path == "":
		s.err = source.Permanent(errors.New("file: the path is empty"))
	case errors.Join(err, besideErr) != nil:
		s.err = fmt.Errorf("file: the path is relative to an unknown directory: %w", errors.Join(err, besideErr))
	case s.files.secret == s.files.beside:
		s.err = source.Permanent(fmt.Errorf("%s: Options.Beside must be another file than the secret's", s.files.secret))
	}
	s.docs = beside.Store{Place: s.files, Names: fields.Names{
		Username: cmp.Or(o.UsernameField, "username"), Password: cmp.Or(o.PasswordField, "password"),
		OptionalUsername: o.AllowNoUsername,
	}}
	return s
}

// Name returns the absolute path of the secret's file.
func (s *Store) Name() string { return s.files.secret }

// Read returns what the store holds now. A version that no rotation has made is
// named by the time when the file was written.
func (s *Store) Read(ctx context.Context) (rotate.State, error) {
	if err := cmp.Or(s.err, ctx.Err()); err != nil {
		return rotate.State{}, err
	}
	return s.docs.Read(ctx)
}

// Create writes the file beside the secret. See [rotate.Store] for what this and
// the other methods keep to.
func (s *Store) Create(ctx context.Context, token string, next source.Credential) error {
	return s.locked(ctx, func() error { return s.docs.Create(ctx, token, next) })
}

// Promote writes the secret's file.
func (s *Store) Promote(ctx context.Context, token, from string) error {
	return s.locked(ctx, func() error { return s.docs.Promote(ctx, token, from) })
}

// Discard writes the file beside the secret without the pending version.
func (s *Store) Discard(ctx context.Context, token string) error {
	return s.locked(ctx, func() error { return s.docs.Discard(ctx, token) })
}

// Restore writes the secret's file.
func (s *Store) Restore(ctx context.Context, to, from string) error {
	return s.locked(ctx, func() error { return s.docs.Restore(ctx, to, from) })
}

// History returns the versions that were current, oldest first: the last hundred
// since a rotation has first been here.
func (s *Store) History(ctx context.Context) ([]rotate.Record, error) {
	if err := cmp.Or(s.err, ctx.Err()); err != nil {
		return nil, err
	}
	return s.docs.History(ctx)
}

// locked runs change while nobody else changes anything.
func (s *Store) locked(ctx context.Context, change func() error) error {
	if err := cmp.Or(s.err, ctx.Err()); err != nil {
		return err
	}
	unlock, err := lock(ctx, s.files.beside+".lock")
	if err != nil {
		return fmt.Errorf("file: the lock: %w", err)
	}
	defer unlock()
	return change()
}
