package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// Alternating returns the target of two users that take turns: the one that is
// not current gets a password and becomes current, and the other one keeps its
// own until the next rotation. Both must exist, with equal rights; give those
// to a group, have both in it, and let both act as it (ALTER ROLE … SET role TO
// …), so that objects which they create belong to the group.
func Alternating(c *Config, one, other string) (rotate.Target, error) {
	config, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	if one == other {
		return nil, fmt.Errorf("postgres: alternating users are two, not %q twice", one)
	}
	for _, user := range []string{one, other} {
		if _, err := Ident(user); err != nil {
			return nil, err
		}
	}
	pair := []string{one, other}
	slices.Sort(pair) // who locks both does so in this order
	return &alternating{server{config}, pair}, nil
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
		return source.Credential{}, fmt.Errorf("postgres: the current user %q is neither of the alternating users %q; put one of them into the store, or name the right ones", current.Username, a.pair)
	}
	current.Username, current.Password = a.pair[1-i], source.Secret{}
	return current, nil
}

// Set changes the password of the user that is not current.
func (a *alternating) Set(ctx context.Context, c rotate.Change) error {
	clause, err := a.secret(c.To.Password)
	if err != nil {
		return err
	}
	return a.fenced(ctx, c, func(conn *pgx.Conn, to remark) error {
		if err := to.unspent(c); err != nil {
			return err
		}
		return put(ctx, conn, to, clause, to.set(c.Token, c.From.Version))
	})
}

// Undo leaves the user that Set has changed without a password: what it was
// before is nobody's any more. If that user is current again, because somebody
// has gone back to it meanwhile, it gets the current password.
func (a *alternating) Undo(ctx context.Context, c rotate.Change) error {
	if c.From.Username == c.To.Username && slices.Contains(a.pair, c.To.Username) {
		return (&single{a.server}).Undo(ctx, c)
	}
	return a.fenced(ctx, c, func(conn *pgx.Conn, to remark) error {
		clause, m := "", to.mark
		if m.token == c.Token {
			clause, m.token, m.after = " password null", "", ""
		} else if slices.Contains(m.spent, c.Token) {
			return nil
		}
		return put(ctx, conn, to, clause, m.spend(c.Token))
	})
}

// fenced runs f with the comment of the user of c.To, unless the one of c.From
// shows a later rotation.
func (a *alternating) fenced(ctx context.Context, c rotate.Change, f func(conn *pgx.Conn, to remark) error) error {
	for _, user := range []string{c.From.Username, c.To.Username} {
		if !slices.Contains(a.pair, user) || c.From.Username == c.To.Username {
			return fmt.Errorf("postgres: from %q to %q is not a change between the alternating users %q: %w", c.From.Username, c.To.Username, a.pair, rotate.ErrConflict)
		}
	}
	return a.change(ctx, func(conn *pgx.Conn) error {
		both, err := remarks(ctx, conn, c.From.Username, c.To.Username)
		if err != nil {
			return err
		}
		for _, r := range both {
			if err := r.missing(); err != nil {
				return err
			}
		}
		if err := a.fence(ctx, c, both[0].mark); err != nil {
			return err
		}
		return f(conn, both[1])
	}, a.pair...)
}

// The user that is not current is not left behind, it waits for its turn.

func (a *alternating) Left(context.Context, rotate.State) ([]string, error) { return nil, nil }
func (a *alternating) Disable(context.Context, string) error                { return errTurns }
func (a *alternating) Enable(context.Context, string) error                 { return errTurns }
func (a *alternating) Remove(context.Context, string) error                 { return errTurns }

var errTurns = fmt.Errorf("postgres: alternating users take turns and are never retired")
