package mysql

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// Alternating returns the target of two users that take turns: the one that is
// not current gets a password and becomes current, and the other one keeps its
// own until the next rotation. Both must exist, with equal rights, which Verify
// compares; give those to a role, and make it the default role of both.
func Alternating(c *Config, one, other string) (rotate.Target, error) {
	config, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	if one == other {
		return nil, fmt.Errorf("mysql: alternating users are two, not %q twice", one)
	}
	for _, user := range []string{one, other} {
		if _, err := Account(user, config.Host); err != nil {
			return nil, err
		}
	}
	return &alternating{server{config, anyone}, []string{one, other}}, nil
}

type alternating struct {
	server
	pair []string
}

func (a *alternating) Strategy() rotate.Strategy {
	return rotate.Strategy{Name: "alternating users", Reuses: true}
}

// Next is the other user.
func (a *alternating) Next(_ context.Context, current source.Credential, _ string) (source.Credential, error) {
	i := slices.Index(a.pair, current.Username)
	if i < 0 {
		return source.Credential{}, fmt.Errorf("mysql: the current user %q is neither of the alternating users %q; put one of them into the store, or name the right ones", current.Username, a.pair)
	}
	current.Username, current.Password = a.pair[1-i], source.Secret{}
	return current, nil
}

// Set changes the password of the user that is not current.
func (a *alternating) Set(ctx context.Context, c rotate.Change) error {
	return a.fenced(ctx, c, func(x *session, m mark) error {
		if err := m.unspent(c); err != nil {
			return err
		}
		return x.give(ctx, c.To.Username, c.To.Password, m, m.set(c.Token, c.From.Version), true)
	})
}

// Undo gives the user that Set has changed a password that nobody knows: the one
// before is nobody's any more. If that user is current again, because somebody
// has gone back to it meanwhile, it gets the current password.
func (a *alternating) Undo(ctx context.Context, c rotate.Change) error {
	if c.From.Username == c.To.Username && slices.Contains(a.pair, c.To.Username) {
		return (&single{inPlace{a.server}}).Undo(ctx, c)
	}
	return a.fenced(ctx, c, func(x *session, m mark) error {
		after := m.spend(c.Token)
		if m.Token != c.Token {
			return x.put(ctx, c.To.Username, "", m, after, false)
		}
		after.Token, after.After = "", ""
		return x.give(ctx, c.To.Username, source.NewSecret(rand.Text()), m, after, false)
	})
}

// fenced runs f with the mark of the user of c.To, unless the one of c.From shows
// a later rotation.
func (a *alternating) fenced(ctx context.Context, c rotate.Change, f func(*session, mark) error) error {
	for _, user := range []string{c.From.Username, c.To.Username} {
		if !slices.Contains(a.pair, user) || c.From.Username == c.To.Username {
			return fmt.Errorf("mysql: from %q to %q is not a change between the alternating users %q: %w", c.From.Username, c.To.Username, a.pair, rotate.ErrConflict)
		}
	}
	return a.change(ctx, func(x *session) error {
		from, err := x.read(ctx, c.From.Username)
		if err != nil {
			return err
		}
		m, err := x.read(ctx, c.To.Username)
		if err != nil {
			return err
		}
		if err := a.fence(ctx, c, from); err != nil {
			return err
		}
		return f(x, m)
	}, a.pair...)
}

// The user that is not current is not left behind, it waits for its turn.

func (a *alternating) Left(context.Context, rotate.State) ([]string, error) { return nil, nil }
func (a *alternating) Disable(context.Context, string) error                { return errTurns }
func (a *alternating) Enable(context.Context, string) error                 { return errTurns }
func (a *alternating) Remove(context.Context, string) error                 { return errTurns }

var errTurns = errors.New("mysql: alternating users take turns and are never retired")
