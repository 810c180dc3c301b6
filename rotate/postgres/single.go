package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	return s.put(ctx, c, c.To.Password, func(m mark) (mark, error) {
		return m.set(c.Token, c.From.Version), m.unspent(c)
	})
}

// Undo sets the current password again.
func (s *single) Undo(ctx context.Context, c rotate.Change) error {
	return s.put(ctx, c, c.From.Password, func(m mark) (mark, error) {
		return mark{token: c.From.Version, spent: m.spend(c.Token).spent}, nil
	})
}

// put gives the user a password and the mark that next makes of the one there.
func (s *single) put(ctx context.Context, c rotate.Change, password source.Secret, next func(mark) (mark, error)) error {
	clause, err := s.secret(password)
	if err != nil {
		return err
	}
	user := c.To.Username
	return s.change(ctx, func(tx pgx.Tx) error {
		text, m, err := comment(ctx, tx, user)
		if err != nil {
			return err
		}
		after, err := next(m)
		if err != nil {
			return err
		}
		if err := s.fence(ctx, c, m); err != nil {
			return err
		}
		if err := alter(ctx, tx, user, clause); err != nil {
			return err
		}
		if m.token == after.token && !m.at.IsZero() && slices.Equal(m.spent, after.spent) {
			return nil // it says so already, and since when
		}
		return write(ctx, tx, user, text, after)
	}, user)
}

// Sessions counts those of user that logged in before its password was set.
func (s *single) Sessions(ctx context.Context, user string) (n int, err error) {
	err = s.admin(ctx, func(conn *pgx.Conn) error {
		_, m, err := comment(ctx, conn, user)
		if err != nil || m.at.IsZero() {
			return err
		}
		hidden := 0
		err = conn.QueryRow(ctx, `select pg_catalog.count(*) filter (where backend_start < $2), pg_catalog.count(*) filter (where backend_start is null)
			from pg_catalog.pg_stat_activity where usename = $1`, user, m.at).Scan(&n, &hidden)
		if err == nil && hidden > 0 {
			err = fmt.Errorf("postgres: the rotator may not see when sessions of %q began; grant it pg_read_all_stats", user)
		}
		return err
	})
	return n, err
}

// In place nothing is left behind.

func (s *single) Left(context.Context, rotate.State) ([]string, error) { return nil, nil }
func (s *single) Disable(context.Context, string) error                { return errInPlace }
func (s *single) Enable(context.Context, string) error                 { return errInPlace }
func (s *single) Remove(context.Context, string) error                 { return errInPlace }

var errInPlace = errors.New("postgres: the user's password is changed in place, and the user never retired")
