package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rekey-go/rekey/pool/verify"
	"github.com/rekey-go/rekey/source"
)

// Config says how the targets of this package get at the database. The zero
// values mean the defaults, and so do negative values.
type Config struct {
	// Admin opens a session of the rotator's own user, who may change the roles
	// that are rotated. It is closed after each step.
	Admin func(ctx context.Context) (*pgx.Conn, error)

	// Login is where and how the application logs in: host, port, database, TLS.
	// Its user and password are not used.
	Login *pgx.ConnConfig

	// Verify is what the next credential must be able to do, beside what the
	// current one may. Nil: nothing more.
	Verify verify.Check

	// LockTimeout bounds how long a change waits for locks of others. Zero: 5 s.
	LockTimeout time.Duration

	// Iterations of the SCRAM verifier. Zero: 4096, which is the server's own.
	Iterations int
}

func (c *Config) withDefaults() (Config, error) {
	if c == nil || c.Admin == nil || c.Login == nil {
		return Config{}, errors.New("postgres: the configuration needs Admin and Login")
	}
	d := *c
	d.LockTimeout = cmp.Or(max(d.LockTimeout, 0), 5*time.Second)
	return d, nil
}

// server is what the targets share.
type server struct{ config Config }

// admin runs f in a session of the rotator.
func (s *server) admin(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := s.config.Admin(ctx)
	if err != nil {
		return fmt.Errorf("postgres: the rotator cannot log in: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it is given up anyway
	return f(conn)
}

// attempts is how often a change is tried that another session got in the way
// of: roles are rows that cannot be waited for.
const attempts = 3

// change runs f in a transaction of the rotator, under the lock of one name.
func (s *server) change(ctx context.Context, name string, f func(pgx.Tx) error) error {
	return s.admin(ctx, func(conn *pgx.Conn) error {
		for n := 1; ; n++ {
			err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, "select set_config('lock_timeout', $1, true), pg_advisory_xact_lock(hashtextextended($2, 0))",
					fmt.Sprint(s.config.LockTimeout.Milliseconds()), "rekey role "+name); err != nil {
					return err
				}
				return f(tx)
			})
			if n == attempts || !transient(err) {
				return err
			}
		}
	})
}

// transient reports whether another session got in the way: XX000 is "tuple
// concurrently updated".
func transient(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "XX000" || pg.Code == "40001" || pg.Code == "40P01")
}

// login opens a session with credential.
func (s *server) login(ctx context.Context, c source.Credential) (*pgx.Conn, error) {
	config := s.config.Login.Copy()
	config.User, config.Password = c.Username, c.Password.Reveal()
	return pgx.ConnectConfig(ctx, config)
}

// rejected reports whether the database has rejected a login.
func rejected(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "28P01" || pg.Code == "28000")
}

// loginError keeps the password out of what pgx returns with a configuration.
func loginError(user string, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return fmt.Errorf("postgres: a login as %q: %w", user, pg)
	}
	return fmt.Errorf("postgres: a login as %q: %s", user, err) //nolint:errorlint // a ConnectError holds the password
}
