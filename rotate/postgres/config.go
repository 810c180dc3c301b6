package postgres

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

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
	// Its user and password are not used. It should reach the server itself: a
	// pooler tells of rejected logins in ways of its own, and remembers them.
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
	// removed. By default they live on, which matters only where the rotation was
	// forced: sessions that act as the group keep its rights until they end.
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
