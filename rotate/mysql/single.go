package mysql

import (
	"context"
	"errors"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// SingleUser returns the target of a user whose password changes in place. From
// set to promote, new logins with the current password fail; open sessions do
// not notice. Where the server can, use [DualPassword] instead.
func SingleUser(c *Config) (rotate.Target, error) {
	config, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	return &single{inPlace{server{config, before}}}, nil
}

type single struct{ inPlace }

func (s *single) Strategy() rotate.Strategy {
	return rotate.Strategy{Name: "single user", InPlace: true}
}

// Set changes the password, unless another rotation has been there.
func (s *single) Set(ctx context.Context, c rotate.Change) error {
	return s.fenced(ctx, c, func(x *session, m mark) error {
		if err := m.unspent(c); err != nil {
			return err
		}
		return x.give(ctx, c.To.Username, c.To.Password, m, m.set(c.Token, c.From.Version), true)
	})
}

// Undo sets the current password again.
func (s *single) Undo(ctx context.Context, c rotate.Change) error {
	return s.fenced(ctx, c, func(x *session, m mark) error {
		after := mark{Token: c.From.Version, Spent: m.spend(c.Token).Spent}
		return x.give(ctx, c.To.Username, c.From.Password, m, after, false)
	})
}

// Nothing is left behind.

func (s *single) Left(context.Context, rotate.State) ([]string, error) { return nil, nil }

// inPlace is what the targets have in common whose user stays.
type inPlace struct{ server }

// Next is the same user.
func (p *inPlace) Next(_ context.Context, current source.Credential, _ string) (source.Credential, error) {
	current.Password = source.Secret{}
	return current, nil
}

// fenced runs f with the mark of the user, unless it shows a later rotation.
func (p *inPlace) fenced(ctx context.Context, c rotate.Change, f func(*session, mark) error) error {
	return p.change(ctx, func(x *session) error {
		m, err := x.read(ctx, c.To.Username)
		if err != nil {
			return err
		}
		if err := p.fence(ctx, c, m); err != nil {
			return err
		}
		return f(x, m)
	}, c.To.Username)
}

// The user is never retired.

func (p *inPlace) Disable(context.Context, string) error { return errInPlace }
func (p *inPlace) Enable(context.Context, string) error  { return errInPlace }
func (p *inPlace) Remove(context.Context, string) error  { return errInPlace }

var errInPlace = errors.New("mysql: the user's password is changed in place, and the user never retired")
