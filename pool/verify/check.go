package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// A Check returns nil if the session's role can do what it needs to. It must
// not keep conn and leaves it outside of a transaction. The checks of this
// package may be run any number of times and concurrently, each on a
// connection of its own.
type Check func(ctx context.Context, conn *pgx.Conn) error

// All runs the checks in turn, also after one has failed, and joins their
// errors, so that everything that is missing is seen at once. When the
// connection breaks or the context ends, the rest does not run; what was found
// by then counts. No checks: nil.
func All(checks ...Check) Check {
	return func(ctx context.Context, conn *pgx.Conn) error {
		var found []error
		for i, check := range checks {
			err := check(ctx, conn)
			if ctx.Err() != nil || conn.IsClosed() {
				if len(found) == 0 {
					return err
				}
				// Not wrapped: an outage now does not take back what is proven.
				return errors.Join(append(found, fmt.Errorf("verify: %d of %d checks could not be run", len(checks)-i, len(checks)))...)
			}
			if err != nil {
				found = append(found, err)
			}
		}
		return errors.Join(found...)
	}
}

// within runs f in a transaction that is always rolled back.
func within(ctx context.Context, conn *pgx.Conn, mode pgx.TxAccessMode, f func(pgx.Tx) error) error {
	if conn.IsClosed() {
		return errors.New("verify: the connection is closed")
	}
	if conn.PgConn().TxStatus() != 'I' {
		return errors.New("verify: the connection is in a transaction")
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: mode})
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	err = f(tx)
	if undo := tx.Rollback(ctx); err == nil && undo != nil {
		err = fmt.Errorf("verify: %w", undo)
	}
	return err
}
