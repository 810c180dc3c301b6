package pq

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/rekey-go/rekey/internal/pgrights"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

var (
	_ pool.Dialer         = (*Dialer)(nil)
	_ pool.Prober         = (*Dialer)(nil)
	_ pool.RightsComparer = (*Dialer)(nil)
)

// Probe implements [pool.Prober]: the name of a dropped user cannot be told.
func (d *Dialer) Probe(ctx context.Context, conn *sql.Conn) error {
	var user string
	err := conn.QueryRowContext(ctx, "select session_user").Scan(&user)
	if state(err) == undefinedObject {
		return fmt.Errorf("%w: %w", pool.ErrDisowned, err)
	}
	return err
}

// LostRights implements [pool.RightsComparer] by what the system catalogs tell
// to both users.
func (d *Dialer) LostRights(ctx context.Context, from, to refresh.Snapshot) ([]string, error) {
	had, err := d.rights(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("rights of %q: %w", from.Username, err)
	}
	has, err := d.rights(ctx, to)
	if err != nil {
		return nil, fmt.Errorf("rights of %q: %w", to.Username, err)
	}
	return pgrights.Lost(had, has), nil
}

// rights asks the server what a user may do.
func (d *Dialer) rights(ctx context.Context, s refresh.Snapshot) (lines []string, err error) {
	login, used := d.single(ctx, s, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, pgrights.Query)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // Err has told all
		var line string
		for rows.Next() {
			if err := rows.Scan(&line); err != nil {
				return err
			}
			lines = append(lines, line)
		}
		return rows.Err()
	})
	slices.Sort(lines)
	if login != nil {
		return nil, login
	}
	return lines, used
}
