package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/internal/pgrights"
)

// Privileges checks that the session's role has all of the grants, in a
// read-only look at the catalog. All that it lacks comes in one
// [*MissingError]; an object that does not exist is an error that names it.
// Row-level security and what functions and triggers do are not looked at.
func Privileges(grants ...Grant) Check {
	return func(ctx context.Context, conn *pgx.Conn) error {
		words := make([][]string, len(grants))
		for i, g := range grants {
			var err error
			if words[i], err = g.words(); err != nil {
				return err
			}
		}
		return within(ctx, conn, pgx.ReadOnly, func(tx pgx.Tx) error {
			oids, err := resolve(ctx, tx, grants)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, pgrights.CatalogPath); err != nil {
				return fmt.Errorf("verify: %w", err)
			}
			batch, state := &pgx.Batch{}, &findings{}
			for i, g := range grants {
				g.queue(batch, oids[i], words[i], state)
			}
			if err := tx.SendBatch(ctx, batch).Close(); err != nil {
				return fmt.Errorf("verify: %w", err)
			}
			return state.err(ctx, tx)
		})
	}
}

// resolve finds the objects that are named without a schema, and functions,
// whose argument types need no schema either. Those not found, and the rest,
// are 0. It runs with the session's own search_path, hence its looks.
func resolve(ctx context.Context, tx pgx.Tx, grants []Grant) ([]uint32, error) {
	names, kinds := make([]string, len(grants)), make([]string, len(grants))
	for i, g := range grants {
		names[i], kinds[i] = g.name, string(g.on)
	}
	rows, err := tx.Query(ctx, `
		select coalesce(case
			when kind operator(pg_catalog.=) 'function' then case
				when pg_catalog.cardinality(part) operator(pg_catalog.>) 1
					and not pg_catalog.has_schema_privilege(part[1], 'usage') then null
				when pg_catalog.strpos(name, '(') operator(pg_catalog.>) 0 then pg_catalog.to_regprocedure(name)::pg_catalog.oid
				else pg_catalog.to_regproc(name)::pg_catalog.oid end
			when kind operator(pg_catalog.=) any (array['table', 'column', 'sequence']::pg_catalog.text[])
				and pg_catalog.cardinality(part) operator(pg_catalog.=) 1 then pg_catalog.to_regclass(name)::pg_catalog.oid
			end, 0::pg_catalog.oid)
		from (
			select name, kind, n, case when kind operator(pg_catalog.<>) 'database'
				then pg_catalog.parse_ident(name, kind operator(pg_catalog.<>) 'function') end as part
			from rows from (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]))
				with ordinality as g (name, kind, n)) as named
		order by n`, names, kinds)
	var oids []uint32
	if err == nil {
		oids, err = pgx.CollectRows(rows, pgx.RowTo[uint32])
	}
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	return oids, nil
}

// findings is what the questions of one check came to.
type findings struct {
	missing []Missing
	absent  []error
}

func (f *findings) err(ctx context.Context, tx pgx.Tx) error {
	if len(f.missing) == 0 {
		return errors.Join(f.absent...)
	}
	e := &MissingError{Missing: f.missing}
	if err := tx.QueryRow(ctx, "select pg_catalog.quote_ident(current_user)").Scan(&e.Role); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	return errors.Join(append([]error{e}, f.absent...)...)
}

// queue adds the question of one grant. Each row of the answer is a right, its
// object, and whether it is held, which is unknown for what does not exist.
func (g Grant) queue(batch *pgx.Batch, oid uint32, words []string, f *findings) {
	var q *pgx.QueuedQuery
	switch g.on {
	case table:
		q = batch.Queue(relation+tableRights, oid, g.name, words)
	case column:
		q = batch.Queue(relation+columnRights, oid, g.name, words, g.columns)
	case sequence:
		q = batch.Queue(relation+sequenceRights, oid, g.name, words)
	case function:
		q = batch.Queue(functionRights, oid, g.name, words)
	case schema:
		q = batch.Queue(schemaRights, g.name, words)
	case database:
		q = batch.Queue(databaseRights, g.name, words)
	}
	q.Query(func(rows pgx.Rows) error {
		var right, object string
		var held *bool
		_, err := pgx.ForEachRow(rows, []any{&right, &object, &held}, func() error {
			switch {
			case held == nil:
				f.absent = append(f.absent, fmt.Errorf("verify: %s on %s: it does not exist", right, object))
			case !*held && !slices.Contains(f.missing, Missing{right, object}):
				f.missing = append(f.missing, Missing{right, object})
			}
			return nil
		})
		if err == nil && rows.CommandTag().RowsAffected() == 0 {
			f.absent = append(f.absent, g.notFound())
		}
		return err
	})
}

func (g Grant) notFound() error {
	switch {
	case g.on == function && !strings.Contains(g.name, "("):
		return fmt.Errorf("verify: function %s: there is none or more than one; say its argument types", g.name)
	case g.on == schema || g.on == database:
		return fmt.Errorf("verify: %s %s: there is none", g.on, g.name)
	}
	return fmt.Errorf("verify: %s %s: there is none, or it is in no schema of search_path that the role may use", g.on, g.name)
}
