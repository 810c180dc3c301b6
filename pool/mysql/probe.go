package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"slices"

	"github.com/rekey-go/rekey/internal/wrapconn"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

var (
	_ pool.Dialer         = (*Dialer)(nil)
	_ pool.Prober         = (*Dialer)(nil)
	_ pool.RightsComparer = (*Dialer)(nil)
)

// Probe implements [pool.Prober]: a session whose user has been dropped cannot
// show its grants. MariaDB lets it read and write on all the same.
func (d *Dialer) Probe(ctx context.Context, conn driver.Conn) error {
	// What MariaDB shows holds the hash of the password: nobody looks at it.
	err := wrapconn.Ask(ctx, conn, "show grants", func(string) {})
	if n := number(err); n == noSuchGrant || n == wrongPassword {
		return fmt.Errorf("%w: %w", pool.ErrDisowned, err)
	}
	return err
}

// LostRights implements [pool.RightsComparer] by what SHOW GRANTS tells to both
// users, with the roles that are active after a login. Rights that to has by a
// wider grant, such as one on the whole database, are not lost.
func (d *Dialer) LostRights(ctx context.Context, from, to refresh.Snapshot) ([]string, error) {
	had, err := d.grants(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("rights of %q: %w", from.Username, err)
	}
	has, err := d.grants(ctx, to)
	if err != nil {
		return nil, fmt.Errorf("rights of %q: %w", to.Username, err)
	}
	lost := []string{}
	for _, r := range has.without(had) {
		lost = append(lost, r.String())
	}
	slices.Sort(lost)
	return slices.Compact(lost), nil
}

// grants asks the server what a user may do.
func (d *Dialer) grants(ctx context.Context, s refresh.Snapshot) (g grants, err error) {
	login, used := d.single(ctx, s, func(ctx context.Context, conn *sql.Conn) error {
		var active sql.NullString
		if err := conn.QueryRowContext(ctx, "select current_role()").Scan(&active); err != nil && number(err) != noSuchFunction {
			return err
		}
		g.active = active.String
		return each(ctx, conn, "show grants", g.add)
	})
	if login != nil {
		return g, login
	}
	return g, used
}

// noSuchFunction is what servers before roles say to current_role().
const noSuchFunction = 1305

// each calls line with the one column of each row.
func each(ctx context.Context, conn *sql.Conn, query string, line func(string)) error {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // Err has told all
	var text string
	for rows.Next() {
		if err := rows.Scan(&text); err != nil {
			return err
		}
		line(text)
	}
	return rows.Err()
}
