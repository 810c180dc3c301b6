package pool

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The methods here stand in for those of the embedded pool that may make a
// connection. They do the same, and once more if all that failed was a login
// with a credential that has been replaced meanwhile: nothing has been sent
// then. A login repeats itself once already (see pgLogin), so this is for two
// changes within the time of one login.

// mostLogins bounds how often one call has logins made for it.
const mostLogins = 4

// again reports whether the n-th try failed only because the credential of its
// login has been replaced.
func (k *keeper) again(ctx context.Context, n int, err error) bool {
	var connect *pgconn.ConnectError
	return err != nil && n < mostLogins && ctx.Err() == nil &&
		errors.As(err, &connect) && k.classify(err) == Rejected && k.refresher.Trouble() == nil
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
	rows, err := p.Query(ctx, sql, args...)
	return row{rows, err}
}

// row is the first of rows.
type row struct {
	pgx.Rows
	err error
}

// Scan follows the contract of [pgx.Row].
func (r row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.Close()
	for _, d := range dest {
		if _, ok := d.(*pgtype.DriverBytes); ok {
			return errors.New("cannot scan into *pgtype.DriverBytes from QueryRow")
		}
	}
	if !r.Next() {
		if err := r.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.Rows.Scan(dest...); err != nil {
		return err
	}
	r.Close()
	return r.Err()
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
	if p.keeper.attention.Load() {
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
