package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const syntaxError = "42601"

// Statements checks that the role may run the statements as they are written,
// with $1, $2 … for parameters: SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES.
// The server plans each (EXPLAIN) in a read-only transaction, which checks the
// rights on tables, columns, views and the functions that are called, and
// nothing is written. For anything else, such as CALL, COPY or TRUNCATE, there
// is [Execute].
//
// The sequences that a plan draws from are checked as well, since EXPLAIN does
// not: those of column defaults in an INSERT, and those named in nextval. For
// the INSERT in a MERGE use [OnSequence].
//
// Not proven is what functions and triggers do inside and what row-level
// security lets through, nor in SELECT … INTO the right to create. Functions that are declared STABLE or IMMUTABLE may
// run while the server plans, without being able to write.
func Statements(statements ...string) Check {
	return func(ctx context.Context, conn *pgx.Conn) error {
		var found []error
		err := within(ctx, conn, pgx.ReadOnly, func(tx pgx.Tx) error {
			// A plan made for parameters that are not known folds nothing away.
			if _, err := tx.Exec(ctx, "set local plan_cache_mode = force_generic_plan"); err != nil {
				return fmt.Errorf("verify: %w", err)
			}
			for i, sql := range statements {
				finding, err := explainOne(ctx, tx, sql)
				if err != nil {
					return err
				}
				if finding != nil {
					found = append(found, fmt.Errorf("verify: statement %d, %s: %w", i+1, brief(sql), finding))
				}
			}
			return nil
		})
		return errors.Join(append(found, err)...)
	}
}

// explainOne returns what speaks against the statement, or as err that the
// check could not be made. It gives back all locks at once.
func explainOne(ctx context.Context, tx pgx.Tx, sql string) (finding, err error) {
	if keyword(sql) == "" {
		return errors.New("it is empty"), nil
	}
	mark, err := tx.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	prepared, finding := explain(ctx, mark, sql)
	if err := mark.Rollback(ctx); err != nil {
		return nil, errors.Join(finding, fmt.Errorf("verify: %w", err))
	}
	if prepared { // which no rollback undoes
		if _, err := tx.Exec(ctx, "deallocate rekey_verify"); err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
	}
	return finding, nil
}

// explain has the server's own parser decide what the statement is: PREPARE
// takes one, and only of those that can be explained.
func explain(ctx context.Context, tx pgx.Tx, sql string) (prepared bool, err error) {
	if err := single(ctx, tx.Conn(), "prepare rekey_verify as\n"+sql).Err; err != nil {
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == syntaxError && !slices.Contains(explained, keyword(sql)) {
			return false, fmt.Errorf("%s cannot be explained, use Execute: %w", strings.ToUpper(keyword(sql)), err)
		}
		return false, err
	}
	var parameters int
	if err := tx.QueryRow(ctx, `select pg_catalog.cardinality(parameter_types) from pg_catalog.pg_prepared_statements
		where name operator(pg_catalog.=) 'rekey_verify'`).Scan(&parameters); err != nil {
		return true, err
	}
	execute := "explain (format json, verbose, costs off) execute rekey_verify"
	if parameters > 0 {
		execute += "(null" + strings.Repeat(", null", parameters-1) + ")"
	}
	plan := single(ctx, tx.Conn(), execute)
	if plan.Err != nil {
		return true, plan.Err
	}
	return true, sequences(ctx, tx, plan.Rows)
}

// explained are the words that a statement for EXPLAIN begins with.
var explained = []string{"select", "insert", "update", "delete", "merge", "values", "with", "table"}

// single runs one statement without parameters. Several in one text are an
// error of the server before any of them runs.
func single(ctx context.Context, conn *pgx.Conn, sql string) *pgconn.Result {
	return conn.PgConn().ExecParams(ctx, sql, nil, nil, nil, nil).Read()
}

// draws finds nextval in a plan. That of an identity column, which needs no
// right of its own, has no cast.
var draws = regexp.MustCompile(`nextval\('((?:[^'\\]|'')+)'::regclass\)`)

// sequences checks the right to draw from the sequences in a plan.
func sequences(ctx context.Context, tx pgx.Tx, plan [][][]byte) error {
	var names []string
	for _, row := range plan { // one, in fact
		var tree any
		if err := json.Unmarshal(row[0], &tree); err != nil {
			return err
		}
		names = drawn(tree, names)
	}
	if len(names) == 0 {
		return nil
	}
	// The names are as the server wrote them, for the session's search_path.
	rows, err := tx.Query(ctx, `
		select distinct pg_catalog.format('sequence %I.%I', n.nspname, s.relname), pg_catalog.quote_ident(current_user)
		from pg_catalog.unnest($1::pg_catalog.text[]) as name
		join pg_catalog.pg_class s on s.oid operator(pg_catalog.=) pg_catalog.to_regclass(name)::pg_catalog.oid
		join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) s.relnamespace
		where case s.relkind when 'S' then not pg_catalog.has_sequence_privilege(s.oid, 'usage, update') end
		order by 1`, names) // either will do
	if err != nil {
		return err
	}
	e := &MissingError{}
	var object string
	_, err = pgx.ForEachRow(rows, []any{&object, &e.Role}, func() error {
		e.Missing = append(e.Missing, Missing{Right: "usage", Object: object})
		return nil
	})
	if err != nil {
		return err
	}
	if len(e.Missing) > 0 {
		return e
	}
	return nil
}

func drawn(node any, names []string) []string {
	switch node := node.(type) {
	case string:
		for _, m := range draws.FindAllStringSubmatch(node, -1) {
			names = append(names, strings.ReplaceAll(m[1], "''", "'"))
		}
	case []any:
		for _, v := range node {
			names = drawn(v, names)
		}
	case map[string]any:
		for _, v := range node {
			names = drawn(v, names)
		}
	}
	return names
}
