package wrapconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
)

// Ask runs a query without arguments on a driver's connection, bare or wrapped,
// and calls line with the first column of each row as text.
func Ask(ctx context.Context, conn driver.Conn, query string, line func(string)) (err error) {
	rows, err := ask(ctx, conn, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		switch v := row[0].(type) {
		case string:
			line(v)
		case []byte:
			line(string(v))
		default:
			line(fmt.Sprint(v))
		}
	}
}

func ask(ctx context.Context, conn driver.Conn, query string) (driver.Rows, error) {
	if q, ok := conn.(driver.QueryerContext); ok {
		rows, err := q.QueryContext(ctx, query, nil)
		if !errors.Is(err, driver.ErrSkip) {
			return rows, err
		}
	}
	stmt, err := conn.Prepare(query)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.Query(nil) //nolint:staticcheck // what every driver has
	if err != nil {
		return nil, errors.Join(err, stmt.Close())
	}
	return closing{rows, stmt}, nil
}

// closing rows close their statement.
type closing struct {
	driver.Rows
	stmt driver.Stmt
}

func (c closing) Close() error { return errors.Join(c.Rows.Close(), c.stmt.Close()) }
