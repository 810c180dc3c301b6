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

func (db *ManagedDB) take(ctx context.Context, n int) []idleConn {
	stats := db.Stats()
	most := stats.MaxOpenConnections
	roomy := most <= 0 || stats.OpenConnections+n < most
	db.keeper.roomy.Store(roomy)
	if stats.Idle == 0 && !roomy {
		return db.queue(ctx, n, stats)
	}
	// With a caller waiting for each, they must not be waited for here.
	ctx, cancel := context.WithTimeout(ctx, longestGrip)
	defer cancel()
	var all []idleConn
	for range stats.Idle {
		c, err := db.takeOne(ctx, stats)
		if err != nil {
			break // callers have taken the others
		}
		all = append(all, c)
	}
	return all
}

// queue waits in line with the callers for connections that come back, because
// a caller who is offered one and has it refused loses one of the three tries
// that database/sql gives him.
func (db *ManagedDB) queue(ctx context.Context, n int, stats sql.DBStats) (stale []idleConn) {
	ctx, cancel := context.WithTimeout(ctx, longestQueue)
	defer cancel()
	for range stats.OpenConnections {
		if len(stale) >= n {
			break
		}
		c, err := db.takeOne(ctx, stats)
		if err != nil {
			break
		}
		if c.session == nil || c.session.hold.Stays() {
			c.giveBack()
			continue
		}
		stale = append(stale, c)
	}
	return stale
}

func (db *ManagedDB) takeOne(ctx context.Context, stats sql.DBStats) (*sqlIdle, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c := &sqlIdle{conn: conn, full: stats.MaxOpenConnections > 0 && stats.OpenConnections >= stats.MaxOpenConnections}
	_ = conn.Raw(func(driverConn any) error {
		c.session = db.keeper.sessionOfConn(driverConn)
		return nil
	})
	return c, nil
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

// coming counts what the DB has asked its one opener for, which makes them one
// after the other.
func (db *ManagedDB) coming(open int) int { return max(db.Stats().OpenConnections-open, 0) }

func (db *ManagedDB) most() int { return db.Stats().MaxOpenConnections }

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
