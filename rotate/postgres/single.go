package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// SingleUser returns the target of a user whose password changes in place. From
// set to promote, new logins with the current password fail; open sessions do
// not notice.
func SingleUser(c *Config) (rotate.Target, error) {
	config, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	return &single{server{config}}, nil
}

type single struct{ server }

func (s *single) Strategy() rotate.Strategy {
	return rotate.Strategy{Name: "single user", InPlace: true}
}

// Next is the same user.
func (s *single) Next(_ context.Context, current source.Credential, _ string) (source.Credential, error) {
	current.Password = source.Secret{}
	return current, nil
}

// Set changes the password, unless another rotation has been there.
func (s *single) Set(ctx context.Context, c rotate.Change) error {
	clause, err := s.secret(c.To.Password)
	if err != nil {
		return err
	}
	return s.put(ctx, c, clause, func(m mark) (mark, error) {
		return m.set(c.Token, c.From.Version), m.unspent(c)
	})
}

// Undo sets the current password again.
func (s *single) Undo(ctx context.Context, c rotate.Change) error {
	clause, err := s.again(c.From.Password)
	if err != nil {
		return err
	}
	return s.put(ctx, c, clause, func(m mark) (mark, error) {
		return mark{token: c.From.Version, spent: m.spend(c.Token).spent}, nil
	})
}

// put gives the user a password and the mark that next makes of the one there.
func (s *single) put(ctx context.Context, c rotate.Change, clause string, next func(mark) (mark, error)) error {
	user := c.To.Username
	return s.change(ctx, func(conn *pgx.Conn) error {
		r, err := remarkOf(ctx, conn, user)
		if err != nil {
			return err
		}
		after, err := next(r.mark)
		if err != nil {
			return err
		}
		if err := s.fence(ctx, c, r.mark); err != nil {
			return err
		}
		return put(ctx, conn, r, clause, after)
	}, user)
}

// The sessions that count are those from before the password was set.

func (s *single) Sessions(ctx context.Context, user string) (n int, err error) {
	err = s.marked(ctx, user, func(conn *pgx.Conn, m mark) error {
		n, err = sessions(ctx, conn, user, m.since())
		return err
	})
	return n, err
}

func (s *single) End(ctx context.Context, user string) (n int, err error) {
	err = s.marked(ctx, user, func(conn *pgx.Conn, m mark) error {
		n, err = end(ctx, conn, user, m.since())
		return err
	})
	return n, err
}

func (s *single) Uses(ctx context.Context, user string) (all []rotate.Use, err error) {
	err = s.marked(ctx, user, func(conn *pgx.Conn, m mark) error {
		all, err = uses(ctx, conn, user, m.since())
		return err
	})
	return all, err
}

// marked runs f with the mark of user.
func (s *single) marked(ctx context.Context, user string, f func(*pgx.Conn, mark) error) error {
	return s.admin(ctx, func(conn *pgx.Conn) error {
		r, err := remarkOf(ctx, conn, user)
		if err != nil {
			return err
		}
		return f(conn, r.mark)
	})
}

// In place nothing is left behind.

func (s *single) Left(context.Context, rotate.State) ([]string, error) { return nil, nil }
func (s *single) Disable(context.Context, string) error                { return errInPlace }
func (s *single) Enable(context.Context, string) error                 { return errInPlace }
func (s *single) Remove(context.Context, string) error                 { return errInPlace }

var errInPlace = errors.New("postgres: the user's password is changed in place, and the user never retired")
