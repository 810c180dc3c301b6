package wrapconn

import (
	"context"
	"database/sql/driver"
)

// statement wraps what Prepare has returned.
func (c *Conn) statement(s driver.Stmt, err error) (driver.Stmt, error) {
	if err != nil {
		return nil, c.told(err)
	}
	w := &stmt{Stmt: s, c: c}
	checker, checks := s.(driver.NamedValueChecker)
	converter, converts := s.(columnConverter)
	// What is missing must be missing here, too, for database/sql then asks
	// the connection.
	switch {
	case checks && converts:
		return struct {
			*stmt
			driver.NamedValueChecker
			columnConverter
		}{w, checker, converter}, nil
	case checks:
		return struct {
			*stmt
			driver.NamedValueChecker
		}{w, checker}, nil
	case converts:
		return struct {
			*stmt
			columnConverter
		}{w, converter}, nil
	}
	return w, nil
}

// A stmt is a prepared statement whose rights errors are told.
type stmt struct {
	driver.Stmt
	c *Conn
}

// ExecContext implements [driver.StmtExecContext].
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if x, ok := s.Stmt.(driver.StmtExecContext); ok {
		result, err := x.ExecContext(ctx, args)
		return result, s.c.told(err)
	}
	values, err := unnamed(ctx, args)
	if err != nil {
		return nil, err
	}
	result, err := oldStmt(s.Stmt).Exec(values)
	return result, s.c.told(err)
}

// QueryContext implements [driver.StmtQueryContext].
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if q, ok := s.Stmt.(driver.StmtQueryContext); ok {
		rows, err := q.QueryContext(ctx, args)
		return rows, s.c.told(err)
	}
	values, err := unnamed(ctx, args)
	if err != nil {
		return nil, err
	}
	rows, err := oldStmt(s.Stmt).Query(values)
	return rows, s.c.told(err)
}
