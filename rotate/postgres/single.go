package postgres

import (
	"context"
	"errors"
	"fmt"

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
	return s.set(ctx, c, c.To.Password, c.Token)
}

// set gives the user of c a password, and its comment the mark of token.
func (s *server) set(ctx context.Context, c rotate.Change, password source.Secret, token string) error {
	statement, err := s.alter(c.To.Username, password)
	if err != nil {
		return err
	}
	return s.change(ctx, c.To.Username, func(tx pgx.Tx) error {
		text, m, err := comment(ctx, tx, c.To.Username)
		if err != nil {
			return err
		}
		if err := m.fence(c.To.Username, c); err != nil {
			return err
		}
		if m.token == token {
			return nil // done
		}
		if _, err := tx.Exec(ctx, statement); err != nil {
			return fmt.Errorf("postgres: the password of role %q: %w", c.To.Username, err)
		}
		return write(ctx, tx, c.To.Username, text, token)
	})
}

// alter is the statement that sets a password, by its verifier.
func (s *server) alter(user string, password source.Secret) (string, error) {
	verifier, err := Verifier(password, &VerifierOptions{Iterations: s.config.Iterations})
	if err != nil {
		return "", err
	}
	name, err := Ident(user)
	if err != nil {
		return "", err
	}
	text, err := Literal(verifier.Reveal())
	if err != nil {
		return "", err
	}
	return "alter role " + name + " password " + text, nil
}

func (s *server) Applied(ctx context.Context, c rotate.Change) (applied bool, err error) {
	err = s.admin(ctx, func(conn *pgx.Conn) error {
		_, m, err := comment(ctx, conn, c.To.Username)
		applied = m.token == c.Token
		if errors.Is(err, errNoRole) {
			return nil
		}
		return err
	})
	return applied, err
}

func (s *server) Accepts(ctx context.Context, credential source.Credential) (bool, error) {
	conn, err := s.login(ctx, credential)
	switch {
	case err == nil:
		return true, conn.Close(ctx)
	case rejected(err):
		return false, nil
	}
	return false, loginError(credential.Username, err)
}

// Verify logs in with the next password and runs the checks.
func (s *server) Verify(ctx context.Context, c rotate.Change) error {
	conn, err := s.login(ctx, c.To)
	switch {
	case rejected(err):
		return fmt.Errorf("%w: %w", rotate.ErrUnfit, loginError(c.To.Username, err))
	case err != nil:
		return loginError(c.To.Username, err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it is given up anyway
	if s.config.Verify == nil {
		return nil
	}
	if err := s.config.Verify(ctx, conn); err != nil {
		if conn.IsClosed() || ctx.Err() != nil {
			return fmt.Errorf("postgres: the checks of user %q did not come to an end: %w", c.To.Username, err)
		}
		return fmt.Errorf("postgres: user %q: %w: %w", c.To.Username, rotate.ErrUnfit, err)
	}
	return nil
}

// Undo sets the current password again.
func (s *single) Undo(ctx context.Context, c rotate.Change) error {
	statement, err := s.alter(c.To.Username, c.From.Password)
	if err != nil {
		return err
	}
	return s.change(ctx, c.To.Username, func(tx pgx.Tx) error {
		text, m, err := comment(ctx, tx, c.To.Username)
		if err != nil {
			return err
		}
		if err := m.fence(c.To.Username, c); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, statement); err != nil {
			return fmt.Errorf("postgres: the password of role %q: %w", c.To.Username, err)
		}
		return write(ctx, tx, c.To.Username, text, c.From.Version)
	})
}

// Sessions counts those of user that logged in before its password was set.
func (s *single) Sessions(ctx context.Context, user string) (n int, err error) {
	err = s.admin(ctx, func(conn *pgx.Conn) error {
		_, m, err := comment(ctx, conn, user)
		if err != nil {
			return err
		}
		return conn.QueryRow(ctx, "select count(*) from pg_catalog.pg_stat_activity where usename = $1 and ($2::timestamptz is null or backend_start < $2)",
			user, orNull(m)).Scan(&n)
	})
	return n, err
}

func orNull(m mark) any {
	if m.token == "" {
		return nil
	}
	return m.at
}

// In place nothing is left behind.

func (s *single) Left(context.Context, rotate.State) ([]string, error) { return nil, nil }
func (s *single) Disable(context.Context, string) error                { return errInPlace }
func (s *single) Enable(context.Context, string) error                 { return errInPlace }
func (s *single) Remove(context.Context, string) error                 { return errInPlace }

var errInPlace = errors.New("postgres: the user is changed in place and never retired")
