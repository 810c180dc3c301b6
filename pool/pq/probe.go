package pq

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/rekey-go/rekey/internal/pgrights"
	"github.com/rekey-go/rekey/internal/wrapconn"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

var (
	_ pool.Dialer         = (*Dialer)(nil)
	_ pool.Prober         = (*Dialer)(nil)
	_ pool.RightsComparer = (*Dialer)(nil)
)

// Probe implements [pool.Prober]: the name of a dropped user cannot be told.
func (d *Dialer) Probe(ctx context.Context, conn driver.Conn) error {
	err := wrapconn.Ask(ctx, conn, "select session_user", func(string) {})
	if state(err) == undefinedObject {
		return fmt.Errorf("%w: %w", pool.ErrDisowned, err)
	}
	return err
}

// mostLost bounds what LostRights returns, in lines.
const mostLost = 100

// LostRights implements [pool.RightsComparer]: it logs in with both credentials
// and has the server compare the two roles, as [verify.Lost] does.
//
// [verify.Lost]: https://pkg.go.dev/github.com/rekey-go/rekey/pool/verify#Lost
func (d *Dialer) LostRights(ctx context.Context, from, to refresh.Snapshot) (lost []string, err error) {
	var before, after role
	login, used := d.single(ctx, from, func(ctx context.Context, conn *sql.Conn) error {
		return inCatalog(ctx, conn, before.read)
	})
	if err := loginOr(login, used, from); err != nil {
		return nil, err
	}
	lost = []string{}
	login, used = d.single(ctx, to, func(ctx context.Context, conn *sql.Conn) error {
		return inCatalog(ctx, conn, func(ctx context.Context, tx *sql.Tx) error {
			if err := after.read(ctx, tx); err != nil {
				return err
			}
			rows, err := tx.QueryContext(ctx, pgrights.Lost, before.current, after.current, before.session, after.session, mostLost)
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }() // Err has told all
			for rows.Next() {
				var line string
				var all int
				if err := rows.Scan(&line, &all); err != nil {
					return err
				}
				lost = append(lost, line)
			}
			return rows.Err()
		})
	})
	return lost, loginOr(login, used, to)
}

func loginOr(login, used error, s refresh.Snapshot) error {
	switch {
	case login != nil:
		return fmt.Errorf("login of %q: %w", s.Username, login)
	case used != nil:
		return fmt.Errorf("rights of %q: %w", s.Username, used)
	}
	return nil
}

// A role is whose rights count in a session, and who logged in, by OID.
type role struct{ current, session uint32 }

func (r *role) read(ctx context.Context, tx *sql.Tx) error {
	var name string
	return tx.QueryRowContext(ctx, pgrights.Who).Scan(&name, &r.current, &name, &r.session)
}

// inCatalog runs f in a transaction in which names mean the system's objects.
func inCatalog(ctx context.Context, conn *sql.Conn, f func(context.Context, *sql.Tx) error) error {
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, pgrights.CatalogPath); err != nil {
		return err
	}
	return f(ctx, tx)
}
