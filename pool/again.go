package pool

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The methods here stand in for those of the embedded pool that may make a
// connection. They do the same, and once more if all that failed was a login
// that was rejected: nothing has been sent then. A login repeats itself once
// already (see pgHosts), so this is for two changes within the time of one
// login.

// mostLogins bounds how often one call has logins made for it. Each is for another
// credential, or for one that has just been seen to work; so many are lost only
// where rotations follow each other as fast as logins do, such as those that have
// waited for the end of an outage.
const mostLogins = 16

// again reports whether the n-th try failed only because the credential of its
// login was rejected, or may have been. The next one waits until another login has prospects.
func (k *keeper) again(ctx context.Context, n int, err error) bool {
	var connect *pgconn.ConnectError
	return err != nil && n < mostLogins && ctx.Err() == nil &&
		errors.As(err, &connect) && k.classify(err) != Unrelated
}

// explain adds to an error that came of waiting what was waited for.
func (k *keeper) explain(err error) error {
	if err == nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	if trouble := k.refresher.Trouble(); trouble != nil {
		return fmt.Errorf("%w while %w", err, trouble)
	}
	return err
}

// Acquire is [pgxpool.Pool.Acquire].
func (p *ManagedPool) Acquire(ctx context.Context) (*pgxpool.Conn, error) {
	c, err := p.Pool.Acquire(ctx)
	if err == nil {
		return c, nil
	}
	for n := 1; p.keeper.again(ctx, n, err); n++ {
		c, err = p.Pool.Acquire(ctx)
	}
	return c, p.keeper.explain(err)
}

// AcquireFunc is [pgxpool.Pool.AcquireFunc].
func (p *ManagedPool) AcquireFunc(ctx context.Context, f func(*pgxpool.Conn) error) error {
	c, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	return f(c)
}

// Exec is [pgxpool.Pool.Exec].
func (p *ManagedPool) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	tag, err := p.Pool.Exec(ctx, sql, arguments...)
	for n := 1; p.keeper.again(ctx, n, err); n++ {
		tag, err = p.Pool.Exec(ctx, sql, arguments...)
	}
	return tag, p.keeper.explain(err)
}

// Query is [pgxpool.Pool.Query].
func (p *ManagedPool) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	rows, err := p.Pool.Query(ctx, sql, args...)
	for n := 1; p.keeper.again(ctx, n, err); n++ {
		rows, err = p.Pool.Query(ctx, sql, args...)
	}
	return rows, p.keeper.explain(err)
}

// QueryRow is [pgxpool.Pool.QueryRow].
func (p *ManagedPool) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	row := p.Pool.QueryRow(ctx, sql, args...)
	if reflect.TypeOf(row) != p.failedRow {
		return row
	}
	for n := 1; p.keeper.again(ctx, n, row.Scan()); n++ {
		row = p.Pool.QueryRow(ctx, sql, args...)
		if reflect.TypeOf(row) != p.failedRow {
			return row
		}
	}
	return failedRow{p.keeper.explain(row.Scan())}
}

// failedRow is the row of a statement that was never sent.
type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

// failedRowType returns the type of pgxpool's own failed row, the only mark by
// which one can be told from a row that waits to be read.
func failedRowType(config *pgxpool.Config) (reflect.Type, error) {
	config = config.Copy()
	config.MinConns, config.MinIdleConns = 0, 0 // connects nowhere
	config.ConnConfig.Tracer = nil
	closed, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	closed.Close()
	return reflect.TypeOf(closed.QueryRow(context.Background(), "")), nil
}

// Begin is [pgxpool.Pool.Begin].
func (p *ManagedPool) Begin(ctx context.Context) (pgx.Tx, error) {
	return p.BeginTx(ctx, pgx.TxOptions{})
}

// BeginTx is [pgxpool.Pool.BeginTx].
func (p *ManagedPool) BeginTx(ctx context.Context, txOptions pgx.TxOptions) (pgx.Tx, error) {
	tx, err := p.Pool.BeginTx(ctx, txOptions)
	for n := 1; p.keeper.again(ctx, n, err); n++ {
		tx, err = p.Pool.BeginTx(ctx, txOptions)
	}
	return tx, p.keeper.explain(err)
}

// CopyFrom is [pgxpool.Pool.CopyFrom].
func (p *ManagedPool) CopyFrom(ctx context.Context, tableName pgx.Identifier, columnNames []string, rowSrc pgx.CopyFromSource) (int64, error) {
	n, err := p.Pool.CopyFrom(ctx, tableName, columnNames, rowSrc)
	for i := 1; p.keeper.again(ctx, i, err); i++ {
		n, err = p.Pool.CopyFrom(ctx, tableName, columnNames, rowSrc)
	}
	return n, p.keeper.explain(err)
}

// SendBatch is [pgxpool.Pool.SendBatch].
func (p *ManagedPool) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	// Results do not show whether a login failed without being used up, so
	// during a rollover a connection is made sure of first.
	if p.keeper.rolling.Load() {
		c, err := p.Acquire(ctx)
		if err != nil {
			return pgx.FailedBatchResults(b, err)
		}
		c.Release()
	}
	return p.Pool.SendBatch(ctx, b)
}

// Ping is [pgxpool.Pool.Ping].
func (p *ManagedPool) Ping(ctx context.Context) error {
	err := p.Pool.Ping(ctx)
	for n := 1; p.keeper.again(ctx, n, err); n++ {
		err = p.Pool.Ping(ctx)
	}
	return p.keeper.explain(err)
}
