package postgres

import (
	"context"
	"fmt"

	"github.com/rekey-go/rekey/rotate"
)

// Lock returns what [rotate.Config.Lock] takes: an advisory lock with the name
// of the secret, held by a session of Config.Admin for as long as the rotation
// runs. It is the server's, so it ends with the session, whatever becomes of the
// process. Admin must reach the server itself: a pooler that lends connections by
// the transaction would lose the lock. Advisory locks are those of a database, so
// all who rotate the secret need the same one there.
func Lock(c *Config, name string) func(ctx context.Context) (unlock func(), err error) {
	return func(ctx context.Context) (func(), error) {
		config, err := c.withDefaults()
		if err != nil {
			return nil, err
		}
		conn, err := config.Admin(ctx)
		if err != nil {
			return nil, loginError("the rotator's own user", err)
		}
		unlock := func() { // hanging up gives it back as well, but does not wait for that
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), config.LockTimeout)
			defer cancel()
			_, _ = conn.Exec(ctx, "select pg_catalog.pg_advisory_unlock_all()")
			hangUp(ctx, conn)
		}
		var locked bool
		err = conn.QueryRow(ctx, "select pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended($1, 0))", "rekey secret "+name).Scan(&locked)
		switch {
		case err != nil:
			unlock()
			return nil, fmt.Errorf("postgres: the lock of %q: %w", name, err)
		case !locked:
			unlock()
			return nil, fmt.Errorf("postgres: somebody has the lock of %q: %w", name, rotate.ErrRunning)
		}
		return unlock, nil
	}
}
