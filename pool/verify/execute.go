package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Execute runs one statement with its arguments in a transaction that is always
// rolled back, and with it what triggers and deferred constraints do. It proves
// more than a plan does, at a price:
//
//   - Sequences that were drawn from stay advanced, locks on rows and tables are
//     held until the rollback, and the rows that were written are left for
//     vacuum to clean up.
//   - What reaches beyond the transaction stays: dblink, foreign tables, files,
//     and session-level advisory locks until conn is closed.
//   - On a server that only reads, statements that write fail, which speaks
//     against the credential.
//
// Statements that begin or end transactions are refused, and so are PREPARE,
// which outlives them, and COPY, whose rights are those to select or insert.
func Execute(sql string, args ...any) Check {
	return func(ctx context.Context, conn *pgx.Conn) error {
		word := keyword(sql)
		if word == "" {
			return errors.New("verify: there is no statement to execute")
		}
		if slices.Contains(refused, word) {
			return fmt.Errorf("verify: %s is not for Execute: it ends the transaction, outlives it or waits for the client", strings.ToUpper(word))
		}
		return within(ctx, conn, pgx.ReadWrite, func(tx pgx.Tx) error {
			if err := execute(ctx, tx, sql, args); err != nil {
				return fmt.Errorf("verify: %s: %w", brief(sql), err)
			}
			if conn.PgConn().TxStatus() != 'T' {
				return fmt.Errorf("verify: %s: the statement ended the transaction", brief(sql))
			}
			if _, err := tx.Exec(ctx, "set constraints all immediate"); err != nil {
				return fmt.Errorf("verify: %s: deferred constraints: %w", brief(sql), err)
			}
			return nil
		})
	}
}

// refused are the words that begin a statement which ends the transaction,
// outlives it or waits for the client.
var refused = []string{"begin", "start", "commit", "end", "rollback", "abort", "prepare", "copy"}

// execute never uses the simple protocol, where one text may hold a second
// statement, such as COMMIT.
func execute(ctx context.Context, tx pgx.Tx, sql string, args []any) error {
	if len(args) == 0 {
		_, err := tx.Conn().PgConn().ExecParams(ctx, sql, nil, nil, nil, nil).Close()
		return err
	}
	_, err := tx.Exec(ctx, sql, append([]any{pgx.QueryExecModeDescribeExec}, args...)...)
	return err
}
