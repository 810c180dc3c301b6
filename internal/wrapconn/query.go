package wrapconn

import (
	"context"
	"database/sql/driver"
	"errors"
)

// The variants of a wrapped connection, after what the driver's has.
type (
	withQuery struct {
		*Conn
		queryer
	}
	withExec struct {
		*Conn
		execer
	}
	both struct {
		*Conn
		queryer
		execer
	}
)

type (
	queryFunc func(context.Context, string, []driver.NamedValue) (driver.Rows, error)
	execFunc  func(context.Context, string, []driver.NamedValue) (driver.Result, error)
)

type queryer struct {
	c     *Conn
	query queryFunc
}

func (q queryer) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := q.query(ctx, query, args)
	return rows, q.c.told(err)
}

type execer struct {
	c    *Conn
	exec execFunc
}

func (x execer) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := x.exec(ctx, query, args)
	return result, x.c.told(err)
}

// The interfaces from before there were contexts, which old drivers have. The
// names in package driver are marked as deprecated.
type (
	oldQueryer interface {
		Query(query string, args []driver.Value) (driver.Rows, error)
	}
	oldExecer interface {
		Exec(query string, args []driver.Value) (driver.Result, error)
	}
	oldBeginner interface {
		Begin() (driver.Tx, error)
	}
	oldStmt interface {
		Exec(args []driver.Value) (driver.Result, error)
		Query(args []driver.Value) (driver.Rows, error)
	}
	columnConverter interface {
		ColumnConverter(idx int) driver.ValueConverter
	}
)

func begin(conn oldBeginner) (driver.Tx, error) { return conn.Begin() }

// queries is how a connection runs queries without preparing them, or nil.
func queries(conn driver.Conn) queryFunc {
	switch q := conn.(type) {
	case driver.QueryerContext:
		return q.QueryContext
	case oldQueryer:
		return func(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
			values, err := unnamed(ctx, args)
			if err != nil {
				return nil, err
			}
			return q.Query(query, values)
		}
	}
	return nil
}

// executes is how a connection runs statements without preparing them, or nil.
func executes(conn driver.Conn) execFunc {
	switch x := conn.(type) {
	case driver.ExecerContext:
		return x.ExecContext
	case oldExecer:
		return func(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
			values, err := unnamed(ctx, args)
			if err != nil {
				return nil, err
			}
			return x.Exec(query, values)
		}
	}
	return nil
}

// unnamed is what database/sql does for interfaces without contexts and names.
func unnamed(ctx context.Context, args []driver.NamedValue) ([]driver.Value, error) {
	values := make([]driver.Value, len(args))
	for i, a := range args {
		if a.Name != "" {
			return nil, errors.New("sql: driver does not support the use of Named Parameters")
		}
		values[i] = a.Value
	}
	return values, ctx.Err()
}
