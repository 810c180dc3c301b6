package wrapconn_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"sync"
)

// session records what a wrapped connection tells.
type session struct {
	mu     sync.Mutex
	check  error
	denied []error
	closed int
}

func (s *session) Check(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.check
}

func (s *session) Valid() bool { return s.Check(context.Background()) == nil }

func (s *session) Denied(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied = append(s.denied, err)
}

func (s *session) Closed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
}

func (s *session) told() (denied []error, closed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.denied, s.closed
}

var errDenied = errors.New("no right to do this")

func isDenied(err error) bool { return errors.Is(err, errDenied) }

// plain is a connection with nothing but what it must have.
type plain struct {
	err   error // of everything
	stmt  driver.Stmt
	calls []string
}

func (c *plain) note(call string) error {
	c.calls = append(c.calls, call)
	return c.err
}

func (c *plain) Prepare(query string) (driver.Stmt, error) {
	if err := c.note("Prepare " + query); err != nil {
		return nil, err
	}
	if c.stmt != nil {
		return c.stmt, nil
	}
	return &plainStmt{c}, nil
}
func (c *plain) Close() error              { return c.note("Close") }
func (c *plain) Begin() (driver.Tx, error) { return c, c.note("Begin") }
func (c *plain) Commit() error             { return c.note("Commit") }
func (c *plain) Rollback() error           { return c.note("Rollback") }

type plainStmt struct{ c *plain }

func (s *plainStmt) Close() error  { return nil }
func (s *plainStmt) NumInput() int { return -1 }
func (s *plainStmt) Exec([]driver.Value) (driver.Result, error) {
	return driver.RowsAffected(3), s.c.note("stmt.Exec")
}

func (s *plainStmt) Query([]driver.Value) (driver.Rows, error) { return rows{}, s.c.note("stmt.Query") }

type rows struct{}

func (rows) Columns() []string         { return nil }
func (rows) Close() error              { return nil }
func (rows) Next([]driver.Value) error { return io.EOF }

// old has the interfaces from before there were contexts.
type old struct{ plain }

func (c *old) Exec(string, []driver.Value) (driver.Result, error) {
	return driver.RowsAffected(1), c.note("Exec")
}
func (c *old) Query(string, []driver.Value) (driver.Rows, error) { return rows{}, c.note("Query") }

// modern has everything.
type modern struct {
	plain
	valid bool
}

func (c *modern) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), c.note("ExecContext")
}

func (c *modern) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return rows{}, c.note("QueryContext")
}

func (c *modern) PrepareContext(_ context.Context, query string) (driver.Stmt, error) {
	return c.Prepare(query)
}

func (c *modern) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	return c, c.note("BeginTx")
}
func (c *modern) Ping(context.Context) error               { return c.note("Ping") }
func (c *modern) ResetSession(context.Context) error       { return c.note("ResetSession") }
func (c *modern) IsValid() bool                            { return c.valid }
func (c *modern) CheckNamedValue(*driver.NamedValue) error { return c.note("CheckNamedValue") }

// checkedStmt has everything.
type checkedStmt struct{ plainStmt }

func (s *checkedStmt) ExecContext(context.Context, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), s.c.note("stmt.ExecContext")
}

func (s *checkedStmt) QueryContext(context.Context, []driver.NamedValue) (driver.Rows, error) {
	return rows{}, s.c.note("stmt.QueryContext")
}

func (s *checkedStmt) CheckNamedValue(*driver.NamedValue) error {
	return s.c.note("stmt.CheckNamedValue")
}
func (s *checkedStmt) ColumnConverter(int) driver.ValueConverter { return driver.String }

// connector always gives the same connection.
type connector struct{ conn driver.Conn }

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.conn, nil }
func (c connector) Driver() driver.Driver                        { return nil }

func open(conn driver.Conn) *sql.DB { return sql.OpenDB(connector{conn}) }
