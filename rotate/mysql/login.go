package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/rekey-go/rekey/internal/mygrants"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// login opens a session with credential and lends it to use. failed is why there
// is none. Servers let a user with an expired password in and refuse every
// statement, so the login ends with one.
func (s *server) login(ctx context.Context, c source.Credential, database string, use func(*sql.Conn) error) (failed, used error) {
	config := s.config.Login.Clone()
	config.User, config.Passwd, config.DBName = c.Username, c.Password.Reveal(), database
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return err, nil
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }() // it is given up anyway
	conn, err := db.Conn(ctx)
	if err != nil {
		return err, nil
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, "select 1"); err != nil {
		return err, nil
	}
	return nil, use(conn)
}

// Accepts logs in, without the application's database: a missing right there is
// nothing that the password can help.
func (s *server) Accepts(ctx context.Context, credential source.Credential) (bool, error) {
	failed, _ := s.login(ctx, credential, "", func(*sql.Conn) error { return nil })
	switch {
	case failed == nil:
		return true, nil
	case rejected(failed):
		return false, nil
	}
	return false, loginError(credential.Username, failed)
}

// Verify logs in with the next credential, compares its rights with those of the
// current user, if that is another one, and runs the checks.
func (s *server) Verify(ctx context.Context, c rotate.Change) error {
	failed, used := s.login(ctx, c.To, s.config.Login.DBName, func(conn *sql.Conn) error {
		if c.From.Username != c.To.Username {
			if err := s.compare(ctx, conn, c); err != nil {
				return err
			}
		}
		return s.check(ctx, conn, c.To.Username)
	})
	switch {
	case failed == nil:
		return used
	case rejected(failed), isNumber(failed, noDatabaseAccess):
		return fmt.Errorf("%w: %w", rotate.ErrUnfit, loginError(c.To.Username, failed))
	}
	return loginError(c.To.Username, failed)
}

func (s *server) check(ctx context.Context, conn *sql.Conn, user string) error {
	if s.config.Verify == nil {
		return nil
	}
	err := s.config.Verify(ctx, conn)
	switch {
	case err == nil:
		return nil
	case conn.PingContext(ctx) != nil:
		return fmt.Errorf("mysql: the checks of user %q did not come to an end: %w", user, err)
	}
	return fmt.Errorf("mysql: user %q: %w: %w", user, rotate.ErrUnfit, err)
}

// compare looks for rights that one of two users has and the other, the next,
// whose session is conn, has not, or the other way round: what the next may do
// beyond, the rotation after it would take away. A current user who does not log
// in any more has no rights to compare.
func (s *server) compare(ctx context.Context, conn *sql.Conn, c rotate.Change) error {
	to, err := mygrants.Of(ctx, conn)
	if err != nil {
		return fmt.Errorf("mysql: the rights of %q: %w", c.To.Username, err)
	}
	var from mygrants.Grants
	failed, used := s.login(ctx, c.From, "", func(conn *sql.Conn) (err error) {
		from, err = mygrants.Of(ctx, conn)
		return err
	})
	switch {
	case failed != nil && rejected(failed):
		return nil
	case failed != nil:
		return loginError(c.From.Username, failed)
	case used != nil:
		return fmt.Errorf("mysql: the rights of %q: %w", c.From.Username, used)
	}
	for _, d := range []struct {
		has, lacks string
		rights     []string
	}{
		{c.From.Username, c.To.Username, mygrants.Lost(from, to)},
		{c.To.Username, c.From.Username, mygrants.Lost(to, from)},
	} {
		if len(d.rights) > 0 {
			return fmt.Errorf("mysql: user %q lacks what %q may do: %s: %w", d.lacks, d.has, strings.Join(d.rights, "; "), rotate.ErrUnfit)
		}
	}
	return nil
}
