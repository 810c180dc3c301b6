package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// sqlIdle is an idle connection of a sql.DB in the hands of an exchange.
type sqlIdle struct {
	conn    *sql.Conn
	session *Login
	full    bool // the DB has no room for another one
}

func (db *ManagedDB) takeIdle(ctx context.Context) []idleConn {
	stats := db.Stats()
	full := stats.MaxOpenConnections > 0 && stats.OpenConnections >= stats.MaxOpenConnections
	// With a caller waiting for each, they must not be waited for here.
	ctx, cancel := context.WithTimeout(ctx, longestGrip)
	defer cancel()
	var all []idleConn
	for range stats.Idle {
		conn, err := db.Conn(ctx)
		if err != nil {
			break // callers have taken the others
		}
		c := &sqlIdle{conn: conn, full: full}
		_ = conn.Raw(func(driverConn any) error {
			c.session = db.keeper.sessionOfConn(driverConn)
			return nil
		})
		all = append(all, c)
	}
	return all
}

func (db *ManagedDB) fill(ctx context.Context) error {
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	return c.Close()
}

func (db *ManagedDB) idle() int { return db.Stats().Idle }

func (db *ManagedDB) total() int { return db.Stats().OpenConnections }

func (c *sqlIdle) login() *Login { return c.session }
func (c *sqlIdle) giveBack()     { _ = c.conn.Close() }

func (c *sqlIdle) leave() (room bool) {
	if c.full { // the DB knows no other way
		c.close()
	}
	return c.full
}

// close has the DB close the connection: that is what it does with a bad one.
func (c *sqlIdle) close() {
	_ = c.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = c.conn.Close()
}
