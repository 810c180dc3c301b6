package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// login opens a session with credential, in the application's database if no
// other is named.
func (s *server) login(ctx context.Context, c source.Credential, database string) (*pgx.Conn, error) {
	config := s.config.Login.Copy()
	config.Database = cmp.Or(database, config.Database)
	config.User, config.Password = c.Username, c.Password.Reveal()
	return pgx.ConnectConfig(ctx, config)
}

// rejected reports whether the database has rejected a login: a wrong password
// or no such role (28P01), one that may not log in (28000), or not here (42501).
func rejected(err error) bool { return isCode(err, "28P01", "28000", "42501") }

// loginError keeps the password out of what pgx returns with a configuration.
func loginError(user string, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return fmt.Errorf("postgres: a login as %q: %w", user, pg)
	}
	for _, ended := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, ended) {
			return fmt.Errorf("postgres: a login as %q: %w", user, ended)
		}
	}
	return fmt.Errorf("postgres: a login as %q: %s", user, err) //nolint:errorlint // a ConnectError holds the password
}

// Accepts logs in.
func (s *server) Accepts(ctx context.Context, credential source.Credential) (bool, error) {
	conn, err := s.login(ctx, credential, "")
	switch {
	case err == nil:
		hangUp(ctx, conn) // it was let in
		return true, nil
	case rejected(err):
		return false, nil
	}
	return false, loginError(credential.Username, err)
}

// Verify logs in with the next credential, compares its rights with those of the
// current one and runs the checks. A current user who cannot log in any more has
// no rights to compare.
func (s *server) Verify(ctx context.Context, c rotate.Change) error {
	conn, err := s.login(ctx, c.To, "")
	switch {
	case rejected(err):
		return fmt.Errorf("%w: %w", rotate.ErrUnfit, loginError(c.To.Username, err))
	case err != nil:
		return loginError(c.To.Username, err)
	}
	defer hangUp(ctx, conn)
	if c.From.Username != c.To.Username {
		if err := s.compare(ctx, conn, c); err != nil {
			return err
		}
	}
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
