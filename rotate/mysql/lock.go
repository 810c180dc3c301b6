package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/rekey-go/rekey/rotate"
)

// Lock returns what [rotate.Config.Lock] takes: a lock of the server with the name
// of the secret (GET_LOCK), held by a session of Config.Admin for as long as the
// rotation runs. It ends with the session, whatever becomes of the process.
func Lock(c *Config, name string) func(ctx context.Context) (unlock func(), err error) {
	return func(ctx context.Context) (func(), error) {
		config, err := c.withDefaults()
		if err != nil {
			return nil, err
		}
		conn, err := config.Admin.Conn(ctx)
		if err != nil {
			return nil, ownError(err)
		}
		unlock := func() { // with the session ends the lock
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
			_ = conn.Close()
		}
		var locked sql.NullInt64
		err = conn.QueryRowContext(ctx, "select get_lock('"+lockName("secret", name)+"', 0)").Scan(&locked)
		switch {
		case err != nil:
			unlock()
			return nil, fmt.Errorf("mysql: the lock of %q: %w", name, err)
		case locked.Int64 != 1:
			unlock()
			return nil, fmt.Errorf("mysql: somebody has the lock of %q: %w", name, rotate.ErrRunning)
		}
		return unlock, nil
	}
}
