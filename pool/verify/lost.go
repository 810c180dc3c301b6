package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/internal/pgrights"
)

// A Role is who a session is in one database cluster. [RoleOf] makes one.
type Role struct {
	Current string // whose rights count: current_user
	Session string // who logged in: session_user

	current, session uint32 // their OIDs
}

// RoleOf returns who the session of conn is. If its user has been dropped, the
// error is the server's undefined_object (42704).
func RoleOf(ctx context.Context, conn *pgx.Conn) (Role, error) {
	var r Role
	err := within(ctx, conn, pgx.ReadOnly, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, pgrights.CatalogPath); err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		err := tx.QueryRow(ctx, pgrights.Who).Scan(&r.Current, &r.current, &r.Session, &r.session)
		if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		return nil
	})
	return r, err
}

// mostLost bounds what Lost returns, in lines; mostText one line, in characters.
const (
	mostLost = 100
	mostText = 300
)

// Lost returns what from may do in the database of conn and to may not, one
// object a line, such as "select, update (qty) on table public.orders"; at most
// 100 lines, the last of which then says how many more there are. None lost: an
// empty slice.
//
// Any session will do for conn: everybody may read the catalog. The roles are
// compared as they are now, both at the same moment, and an object that is
// dropped meanwhile is not a loss. Nor is anything if from itself no longer
// exists. It takes a few set-based looks at the catalog: 0.1 s for 5,000 tables.
//
// Compared are rights on the database, schemas, tables, columns, sequences and
// functions, however they are held (by grant, to PUBLIC, through a role, as a
// superuser); ownership, without which an object cannot be altered; superuser,
// bypassrls, createdb, createrole, replication; the roles that SET ROLE can
// become, and membership in the system's own. Objects of the system count
// where somebody granted something on them. Not compared: what row-level
// security lets through, types, languages, large objects, foreign servers,
// server parameters, tablespaces, other databases.
func Lost(ctx context.Context, conn *pgx.Conn, from, to Role) ([]string, error) {
	if from.current == 0 || to.current == 0 {
		return nil, errors.New("verify: a role to compare is empty; RoleOf makes one")
	}
	lost, more := []string{}, 0
	err := within(ctx, conn, pgx.ReadOnly, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, pgrights.CatalogPath); err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		rows, err := tx.Query(ctx, pgrights.Lost, from.current, to.current, from.session, to.session, mostLost)
		if err == nil {
			var line string
			var all int
			_, err = pgx.ForEachRow(rows, []any{&line, &all}, func() error {
				if r := []rune(line); len(r) > mostText {
					line = string(r[:mostText]) + "…"
				}
				lost = append(lost, line)
				more = all - len(lost)
				return nil
			})
		}
		if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if more > 0 {
		lost = slices.Replace(lost, len(lost)-1, len(lost), fmt.Sprintf("and %d more", more+1))
	}
	return lost, nil
}
