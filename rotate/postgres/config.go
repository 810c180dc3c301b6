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
)

// Config says how the targets of this package get at the database. The zero
// values mean the defaults, and so do negative values.
type Config struct {
	// Admin opens a session of the rotator's own user, who may change the roles
	// that are rotated: see the package's documentation. It is closed after each
	// step.
	Admin func(ctx context.Context) (*pgx.Conn, error)

	// Login is where and how the application logs in: host, port, database, TLS.
	// Its user and password are not used.
	Login *pgx.ConnConfig

	// Verify is what the next credential must be able to do, beside what the
	// current one may. Nil: nothing more.
	Verify verify.Check

	// LockTimeout bounds how long a change waits for locks of others. Zero: 5 s.
	LockTimeout time.Duration

	// Iterations of the SCRAM verifier, from 4096 to 10,000,000. Zero: 4096, which
	// is the server's own.
	Iterations int

	// EndSessions has the sessions that a user still has ended when it is
	// removed. By default they live on, and what their user could do, they cannot
	// any more, unless they act as another role.
	EndSessions bool
}

func (c *Config) withDefaults() (Config, error) {
	if c == nil || c.Admin == nil || c.Login == nil {
		return Config{}, errors.New("postgres: the configuration needs Admin and Login")
	}
	d := *c
	d.LockTimeout = cmp.Or(max(d.LockTimeout, 0), 5*time.Second)
	d.Iterations = cmp.Or(max(d.Iterations, 0), leastIterations)
	if err := checkIterations(d.Iterations); err != nil {
		return Config{}, err
	}
	return d, nil
}

// server is what the targets share.
type server struct{ config Config }

// admin runs f in a session of the rotator.
func (s *server) admin(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := s.config.Admin(ctx)
	if err != nil {
		return loginError("the rotator's own user", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it is given up anyway
	return f(conn)
}

// attempts is how often a change is tried that another session got in the way
// of: roles are rows that cannot be waited for.
const attempts = 5

// change runs f in a transaction of the rotator, under the locks of names, in
// their order.
func (s *server) change(ctx context.Context, f func(pgx.Tx) error, names ...string) error {
	return s.admin(ctx, func(conn *pgx.Conn) error {
		return s.transact(ctx, conn, f, names...)
	})
}

func (s *server) transact(ctx context.Context, conn *pgx.Conn, f func(pgx.Tx) error, names ...string) error {
	for n := 1; ; n++ {
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, fmt.Sprintf("set local lock_timeout = %d", s.config.LockTimeout.Milliseconds())); err != nil {
				return err
			}
			for _, name := range names {
				if _, err := tx.Exec(ctx, "select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))", "rekey role "+name); err != nil {
					return fmt.Errorf("postgres: the lock of role %q: %w", name, err)
				}
			}
			return f(tx)
		})
		if n == attempts || !transient(err) {
			return err
		}
	}
}

// transient reports whether another session got in the way: XX000 is "tuple
// concurrently updated".
func transient(err error) bool {
	return isCode(err, "XX000", "40001", "40P01")
}

// isCode reports whether err is the server's and has one of the codes.
func isCode(err error, codes ...string) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		for _, code := range codes {
			if pg.Code == code {
				return true
			}
		}
	}
	return false
}
