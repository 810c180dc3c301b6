// Package wrapconn puts a pool's rules around a connection of any database/sql
// driver: whether it may be lent, that a rights error is told, and that its end
// is. To database/sql the wrapped connection behaves like the bare one, whatever
// optional interfaces that has.
//
// Rights errors are told of Exec, Query, Prepare, Begin and of prepared
// statements. Servers check rights before they send the first row, so rows are
// the driver's own and cost nothing; an error between two rows, or at a commit,
// is not told.
package wrapconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
)

// A Session is what the pool knows about a connection: a *pool.Login.
type Session interface {
	Check(ctx context.Context) error // nil, or driver.ErrBadConn if it must not be lent
	Valid() bool                     // it may be lent, without asking the server
	Denied(err error)                // a statement was refused for lack of rights
	Closed()                         // the socket is closed
}

// New wraps conn. denied tells which errors are for lack of rights.
func New(conn driver.Conn, s Session, denied func(error) bool) driver.Conn {
	c := &Conn{conn: conn, session: s, denied: denied}
	_, resets := conn.(driver.SessionResetter)
	_, validates := conn.(driver.Validator)
	c.keeps = resets && validates
	q := queries(conn)
	x := executes(conn)
	// database/sql checks arguments in another way where these are missing, so
	// they must be missing here, too.
	switch {
	case q != nil && x != nil:
		return &both{c, queryer{c, q}, execer{c, x}}
	case q != nil:
		return &withQuery{c, queryer{c, q}}
	case x != nil:
		return &withExec{c, execer{c, x}}
	}
	return c
}

// A Conn is a wrapped connection. Like any driver.Conn it is used by one
// goroutine at a time.
type Conn struct {
	conn    driver.Conn
	session Session
	denied  func(error) bool
	keeps   bool        // the driver tells itself whether a session is still good
	spoiled atomic.Bool // one that does not has been rolled back by force
}

// Raw returns the driver's own connection, for [database/sql.Conn.Raw].
func (c *Conn) Raw() driver.Conn { return c.conn }

// Format prints what the connection is and nothing of what is inside: drivers
// keep the password with which they logged in.
func (c *Conn) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%T of the pool", c.conn) }

// told passes an error on and tells the session if it is for lack of rights.
func (c *Conn) told(err error) error {
	if err != nil && !errors.Is(err, driver.ErrSkip) && c.denied(err) {
		c.session.Denied(err)
	}
	return err
}

// Close implements [driver.Conn].
func (c *Conn) Close() error {
	defer c.session.Closed()
	return c.conn.Close()
}

// ResetSession implements [driver.SessionResetter].
func (c *Conn) ResetSession(ctx context.Context) error {
	if err := c.session.Check(ctx); err != nil {
		return err
	}
	if r, ok := c.conn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

// IsValid implements [driver.Validator].
func (c *Conn) IsValid() bool {
	if v, ok := c.conn.(driver.Validator); ok && !v.IsValid() {
		return false
	}
	return !c.spoiled.Load() && c.session.Valid()
}

// Ping implements [driver.Pinger]. Without one, database/sql asks nobody.
func (c *Conn) Ping(ctx context.Context) error {
	if p, ok := c.conn.(driver.Pinger); ok {
		return p.Ping(ctx)
	}
	return nil
}

// CheckNamedValue implements [driver.NamedValueChecker].
func (c *Conn) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// Prepare implements [driver.Conn].
func (c *Conn) Prepare(query string) (driver.Stmt, error) {
	return c.statement(c.conn.Prepare(query))
}

// PrepareContext implements [driver.ConnPrepareContext].
func (c *Conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if p, ok := c.conn.(driver.ConnPrepareContext); ok {
		return c.statement(p.PrepareContext(ctx, query))
	}
	s, err := c.conn.Prepare(query)
	if err == nil && ctx.Err() != nil {
		_ = s.Close() // nobody wants it any more
		return nil, ctx.Err()
	}
	return c.statement(s, err)
}

// Begin implements [driver.Conn].
func (c *Conn) Begin() (driver.Tx, error) {
	tx, err := begin(c.conn)
	return tx, c.told(err)
}

// BeginTx implements [driver.ConnBeginTx].
func (c *Conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := beginTx(ctx, c.conn, opts)
	if err != nil {
		return nil, c.told(err)
	}
	if !c.keeps {
		return cautiousTx{tx, c, ctx}, nil
	}
	return tx, nil
}

// beginTx does what database/sql does, for drivers without BeginTx as well.
func beginTx(ctx context.Context, conn driver.Conn, opts driver.TxOptions) (driver.Tx, error) {
	if b, ok := conn.(driver.ConnBeginTx); ok {
		return b.BeginTx(ctx, opts)
	}
	if opts.Isolation != 0 {
		return nil, errors.New("sql: driver does not support non-default isolation level")
	}
	if opts.ReadOnly {
		return nil, errors.New("sql: driver does not support read-only transactions")
	}
	tx, err := begin(conn)
	if err == nil && ctx.Err() != nil {
		_ = tx.Rollback() // nobody wants it any more
		return nil, ctx.Err()
	}
	return tx, err
}

// A cautiousTx is one of a driver that cannot tell whether a session is still
// good: database/sql throws such a connection away when a transaction is rolled
// back because its context has ended. It keeps those that can tell, which a
// wrapped one always claims.
type cautiousTx struct {
	driver.Tx
	c   *Conn
	ctx context.Context
}

func (tx cautiousTx) Rollback() error {
	if tx.ctx.Err() != nil {
		tx.c.spoiled.Store(true)
	}
	return tx.Tx.Rollback()
}
